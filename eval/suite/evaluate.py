"""A suite scored: each test once for each of its rules, with every subset, group and breakdown its files allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.breakdowns.flips import Flips
from vqa_gs.eval.edited import EditedAnswers
from vqa_gs.eval.evaluate import score_answers
from vqa_gs.eval.evidence import Evidence, Scored
from vqa_gs.eval.metrics import Scores
from vqa_gs.eval.metrics_file import read_metrics, write_metrics
from vqa_gs.eval.results import write_results
from vqa_gs.eval.runs import SUBSET, Source, SplitMetrics
from vqa_gs.eval.statistics import REPLICATES
from vqa_gs.eval.suite.answers import Answered
from vqa_gs.eval.suite.loaded import LoadedTest, Reader
from vqa_gs.eval.suite.spec import Suite, split_of
from vqa_gs.eval.suite_record import RecordedTest, SuiteRecord, write_record

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import sha256_file
from vqa_gs.common.phases import phase
from vqa_gs.data.edited import original_of
from vqa_gs.data.questions import QuestionId, QuestionSet

Ask = Callable[[LoadedTest], Answered | None]
"""Answers a test; None where there are no answers to it."""


class Settings(NamedTuple):
    """How a suite is scored.

    Attributes:
        allow_missing: score unanswered questions 0 instead of refusing.
        replicates: resamplings of the intervals; 0 leaves them out.
        seed: of the resampling.
        free_form: whether short answers were taken out of long ones.
    """

    allow_missing: bool = False
    replicates: int = REPLICATES
    seed: int = 0
    free_form: bool = False


@dataclass(frozen=True)
class _Kept:
    """An earlier test that others refer to."""

    questions: QuestionSet
    answers: Mapping[QuestionId, str]
    scores: Scores
    rule: str


@dataclass(frozen=True)
class Outcome:
    """What came out of a suite.

    Attributes:
        metrics: by split, in the suite's order.
        record: what was written beside them.
        folder: where.
    """

    metrics: dict[str, SplitMetrics]
    record: SuiteRecord
    folder: Path


def evaluate_suite(
    suite: Suite, ask: Ask, out: Path, settings: Settings | None = None, reader: Reader | None = None
) -> Outcome:
    """Scores a suite and writes metrics, predictions and a record of what was there.

    Args:
        suite: the suite.
        ask: answers a test.
        out: a run's folder, or one that becomes like it: ``metrics``, ``predictions`` and ``suites`` are written there.
        settings: how it is scored.
        reader: what reads its tests, if they are not to be read anew.

    Raises:
        DataError: a file that is there is damaged, or answers do not fit their questions.
        UsageError: no test is there, or metrics of other questions lie under a test's name.
    """
    settings = settings or Settings()
    reader = reader or Reader(suite)
    needed = {test.of for test in suite.spec.tests.values() if test.of}
    kept: dict[str, _Kept] = {}
    metrics: dict[str, SplitMetrics] = {}
    records: list[RecordedTest] = []
    for test in reader:
        found = ask(test)
        if found is None:
            reader.left_out.append(f"{test.name}: there are no answers to it")
            continue
        splits: list[str] = []
        for rule in test.spec.scoring:
            split = split_of(test.name, rule, test.spec.scoring[0])
            with phase(f"scoring {test.name}"):
                scores = score_answers(test.asked.questions, found.answers, rule, allow_missing=settings.allow_missing)
            if test.name in needed and not splits:
                kept[test.name] = _Kept(test.asked.questions, found.answers, scores, rule)
            scored = score_test(test, found, rule, split, kept.get(test.spec.of or ""), scores, settings)
            metrics[split] = _merged(out / "metrics" / f"{split}.json", scored)
            splits.append(split)
        for split in splits:
            write_results(out / "predictions" / f"{split}.json", found.answers)
            write_metrics(out / "metrics" / f"{split}.json", metrics[split])
        records.append(RecordedTest(test.title, test.spec.side, splits, test.spec.published))
    if not records:
        raise UsageError(
            f"none of the tests can be scored: {'; '.join(reader.left_out[:3])}",
            file=suite.file,
            mend=f"look what {suite.folder} should hold",
        )
    record = SuiteRecord(
        title=suite.spec.title,
        file=str(suite.file),
        sha256=suite.sha256,
        tests=records,
        left_out=reader.left_out,
        notes=suite.spec.notes,
        answers="free-form" if settings.free_form else "as written",
    )
    write_record(out, suite.name, record)
    return Outcome(metrics, record, out)


def score_test(
    test: LoadedTest,
    found: Answered,
    rule: str,
    split: str,
    original: _Kept | None,
    scores: Scores,
    settings: Settings,
) -> SplitMetrics:
    """Scores one test under one rule.

    Args:
        test: the test.
        found: its answers.
        rule: the scoring rule.
        split: what the metrics are filed under.
        original: the test it is ``of``, where that was answered.
        scores: (n,) the accuracies under the rule.
        settings: how it is scored.
    """
    evidence = replace(test.evidence, confidence=found.confidence, restricted=found.restricted, raw=found.raw)
    if original is not None and not test.spec.edits:
        evidence = replace(evidence, originals=_originals(test, original))
    metrics = analyse(
        test.asked.questions,
        found.answers,
        rule,
        split,
        test.subsets,
        evidence=evidence,
        allow_missing=settings.allow_missing,
        replicates=settings.replicates,
        seed=settings.seed,
        scores=scores,
    )
    if original is not None and test.spec.edits:
        flips = _flips(test, found, original)
        if flips is not None:
            metrics.breakdowns["flips"] = flips
    if found.source is not None:
        metrics.sources["results"] = Source(str(found.source), sha256_file(found.source))
    for name, file in test.lists.items():
        metrics.sources[SUBSET + name] = Source(str(file), sha256_file(file))
    metrics.notes.extend(test.asked.notes)
    form, options = test.spec.form, test.spec.options or None
    return msgspec.structs.replace(metrics, domain=test.spec.side, form=form, form_options=options)


def _originals(test: LoadedTest, original: _Kept) -> dict[QuestionId, float]:
    """Returns the accuracy of the original's answer by twin."""
    by_id = dict(zip(original.questions.question_ids, original.scores.tolist(), strict=True))
    if test.twins is not None:
        known = set(test.asked.questions.question_ids)
        return {twin: by_id[first] for first, twin in test.twins if first in by_id and twin in known}
    return {key: by_id[key] for key in test.asked.questions.question_ids if key in by_id}


def _flips(test: LoadedTest, found: Answered, original: _Kept) -> Flips | None:
    """Returns how answers change with the edits whose originals were answered, None where there are none."""
    assert test.spec.edits is not None
    assert test.asked.questions.annotations is not None
    file_id = {own: question_id for (question_id, _), own in test.asked.keys.items()}
    rows = []
    for annotation in test.asked.questions.annotations:
        own = annotation.question_id
        of = file_id.get(own, original_of(own))
        if of is not None and of in original.answers and own in found.answers:
            rows.append((of, annotation, found.answers[own]))
    if not rows:
        return None
    ids, annotations, answers = zip(*rows, strict=True)
    edited = EditedAnswers(test.spec.edits, ids, annotations, answers)
    predictions = [original.answers.get(key) for key in original.questions.question_ids]
    return Flips.of(Scored(original.questions, predictions, original.scores, original.rule, Evidence(edited=edited)))


def _merged(file: Path, metrics: SplitMetrics) -> SplitMetrics:
    """Takes over what metrics of the same answers know beside: training writes controls and grounding, for one.

    Raises:
        UsageError: the metrics there are of other questions.
    """
    if not file.exists():
        return metrics
    try:
        old = read_metrics(file)
    except DataError:
        return metrics  # it is replaced
    ours, theirs = (
        {name: one.sources[name].sha256 for name in ("questions", "annotations") if name in one.sources}
        for one in (metrics, old)
    )
    if theirs and ours != theirs:
        raise UsageError(
            f"{file} is of other questions than the suite's test {metrics.split}",
            mend="rename the test in the suite file, or give --out another folder",
        )
    if old.scoring != metrics.scoring or old.overall != metrics.overall:
        return metrics
    return msgspec.structs.replace(
        metrics, breakdowns={**old.breakdowns, **metrics.breakdowns}, selection=metrics.selection or old.selection
    )
