"""What stands behind the scores, question by question: predictions read again, scored again, checked against them.

A metrics file names the questions and annotations it was made from, with their hashes. Where these files are
still there, and a run still has its predictions, a report can tell more than means: intervals, answer
distributions, examples. Everything that cannot be used is told as a reason, never left out in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.results import read_results
from eval.runs import RunSummary, flatten
from eval.scoring import RULES, score_questions
from vqa_gs.common.errors import VqaGsError
from vqa_gs.common.files import sha256_file
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import ImageId, QuestionId, QuestionSet, read_annotations, read_question_set

Codes = npt.NDArray[np.int32]
AnswerCounts = dict[str, Counter[str]]

UNANSWERED = -1


class Lexicon:
    """Numbers for texts, in the order of their first appearance."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Returns the number of a text, a new one if it is new."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found

    def codes(self, texts: Sequence[str]) -> Codes:
        """Returns int32 (n,): the number of each text."""
        return np.fromiter((self.number(text) for text in texts), np.int32, len(texts))


class _Normalized(dict[str, str]):
    def __missing__(self, text: str) -> str:
        made = self[text] = normalize_answer(strip_answer(text))
        return made


@dataclass(frozen=True)
class SplitEvidence:
    """One split's questions with the answers and scores of the runs, n questions and k runs.

    Attributes:
        split: the split's name.
        folders: the runs' folders, in the order of the rows of ``scores``.
        scores: float32 (k, n), accuracies in 0..1 under the rule of the metrics files.
        predicted: int32 (k, n) into ``lexicon``, -1 where a run gave no answer.
        truth: int32 (n,) into ``lexicon``, the normalised majority answer.
        answer_type: int32 (n,) into ``answer_types``.
        question_type: int32 (n,) into ``question_types``.
        image: int32 (n,), equal for questions about one image.
        answer_types: names.
        question_types: names.
        lexicon: normalised answers.
    """

    split: str
    folders: tuple[Path, ...]
    scores: npt.NDArray[np.float32]
    predicted: Codes
    truth: Codes
    answer_type: Codes
    question_type: Codes
    image: Codes
    answer_types: tuple[str, ...]
    question_types: tuple[str, ...]
    lexicon: tuple[str, ...]

    def row(self, run: RunSummary) -> int | None:
        """Returns a run's row in ``scores``, None if it has none."""
        return self.folders.index(run.folder) if run.folder in self.folders else None


@dataclass
class Evidence:
    """All evidence of some runs.

    Attributes:
        splits: by split name.
        train: how often each question type has each (normalised) majority answer in training; empty if unknown.
        reasons: why something is not there, a sentence each.
    """

    splits: dict[str, SplitEvidence] = field(default_factory=dict)
    train: AnswerCounts = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


Look = Callable[[SplitEvidence, QuestionSet], None]


def find_source(path: str, sha256: str, search: Path | None) -> Path:
    """Returns where a recorded file lies now.

    Args:
        path: as it was recorded.
        sha256: its recorded hash, "" if it is not known.
        search: a folder in which to look for a file of that name as well.

    Raises:
        FileNotFoundError: no such file; the message says what was found instead.
    """
    changed = False
    for candidate in [Path(path), *([search / Path(path).name] if search else [])]:
        if not candidate.is_file():
            continue
        if not sha256 or sha256_file(candidate) == sha256:
            return candidate
        changed = True
    raise FileNotFoundError(f"{path} {'is not the file it was' if changed else 'is not there'}")


def _score(run: RunSummary, split: str, scoring: str, questions: QuestionSet) -> tuple[npt.NDArray[np.float64], list]:
    """Returns the scores of a run and its normalised answers, None where there is none."""
    annotations, ids = questions.annotations, questions.question_ids
    assert annotations is not None
    answers: dict[QuestionId, str] = read_results(run.folder / "predictions" / f"{split}.json", ids, allow_missing=True)
    rows = [row for row, question_id in enumerate(ids) if question_id in answers]
    scores = np.zeros(len(ids))
    scores[rows] = score_questions([annotations[row] for row in rows], [answers[ids[row]] for row in rows], scoring)
    return scores, [answers.get(question_id) for question_id in ids]


def _read_split(
    split: str, scoring: str, runs: Sequence[RunSummary], search: Path | None, evidence: Evidence, look: Look
) -> None:
    sources = runs[0].metrics[split].sources
    try:
        files = [find_source(sources[name].path, sources[name].sha256, search) for name in ("questions", "annotations")]
    except FileNotFoundError as error:
        evidence.reasons.append(f"No intervals, answer distributions and examples of {split}: {error}.")
        return
    questions = read_question_set(*files)
    annotations = questions.annotations
    assert annotations is not None
    normalized, lexicon = _Normalized(), Lexicon()
    truth = lexicon.codes([normalized[annotation.majority] for annotation in annotations])
    kept, scores, predicted = [], [], []
    for run in runs:
        if not (run.folder / "predictions" / f"{split}.json").is_file():
            evidence.reasons.append(f"Run “{run.name}” has no predictions/{split}.json: no intervals, no examples.")
            continue
        try:
            own, answers = _score(run, split, scoring, questions)
        except VqaGsError as error:
            evidence.reasons.append(f"Predictions not used: {error}.")
            continue
        overall = run.metrics[split].overall
        if overall is None or abs(100 * own.mean() - overall) > 1e-6:
            evidence.reasons.append(
                f"Run “{run.name}”: predictions/{split}.json score {100 * own.mean():.2f} %, its metrics say "
                f"{'nothing' if overall is None else f'{overall:.2f} %'}, so they were not used."
            )
            continue
        kept.append(run.folder)
        scores.append(own.astype(np.float32))
        codes = [UNANSWERED if answer is None else lexicon.number(normalized[answer]) for answer in answers]
        predicted.append(np.array(codes, np.int32))
    if not kept:
        return
    types, kinds = Lexicon(), Lexicon()
    images: dict[ImageId, int] = {}
    answer_type = types.codes([annotation.answer_type for annotation in annotations])
    question_type = kinds.codes([annotation.question_type for annotation in annotations])
    image = np.array([images.setdefault(image_id, len(images)) for image_id in questions.image_ids], np.int32)
    found = SplitEvidence(
        split,
        tuple(kept),
        np.stack(scores),
        np.stack(predicted),
        truth,
        answer_type,
        question_type,
        image,
        tuple(types.texts),
        tuple(kinds.texts),
        tuple(lexicon.texts),
    )
    evidence.splits[split] = found
    look(found, questions)


def _groups(runs: Sequence[RunSummary], split: str) -> list[RunSummary]:
    """Returns the runs that were scored on the same files, the largest such group; none if no file is named."""
    groups: dict[tuple[str, ...], list[RunSummary]] = {}
    for run in runs:
        if split in run.metrics and {"questions", "annotations"} <= run.metrics[split].sources.keys():
            sources = run.metrics[split].sources
            key = tuple(sources[name].sha256 or sources[name].path for name in ("questions", "annotations"))
            groups.setdefault(key, []).append(run)
    return max(groups.values(), key=len, default=[])


def _train_counts(runs: Sequence[RunSummary], search: Path | None, evidence: Evidence) -> AnswerCounts:
    """Counts the majority answers of the first training file that is still what it was."""
    tried: set[str] = set()
    for run in runs:
        path = flatten(run.config).get("data.train.annotations")
        if not isinstance(path, str) or path in tried:
            continue
        tried.add(path)
        recorded = run.provenance.get("sources")
        sha256 = recorded.get(path, "") if isinstance(recorded, Mapping) else ""
        try:
            annotations = read_annotations(find_source(path, str(sha256), search))
        except (FileNotFoundError, VqaGsError) as error:
            evidence.reasons.append(f"Answers in training are not shown: {error}.")
            continue
        normalized = _Normalized()
        counts: AnswerCounts = {}
        for annotation in annotations:
            kind = counts.setdefault(annotation.question_type, Counter())
            kind[normalized[annotation.majority]] += 1
        return counts
    return {}


def gather(runs: Sequence[RunSummary], scoring: str, search: Path | None, look: Look) -> Evidence:
    """Reads what stands behind the scores of some runs, one split at a time.

    Args:
        runs: runs whose scores all follow one rule.
        scoring: that rule.
        search: a folder in which to look for questions and annotations that are not where they were.
        look: called with each split's evidence and questions, which are then dropped: ten runs on 220,000
            questions fit into memory as numbers, not as records.
    """
    evidence = Evidence()
    if scoring not in RULES:
        evidence.reasons.append(f"The rule {scoring!r} is not known here, so nothing was scored again.")
        return evidence
    for split in dict.fromkeys(split for run in runs for split in run.metrics):
        same = _groups(runs, split)
        if same:
            _read_split(split, scoring, same, search, evidence, look)
        else:
            evidence.reasons.append(f"The metrics of {split} do not name their questions: no intervals, no examples.")
    if evidence.splits:
        evidence.train = _train_counts(runs, search, evidence)
    return evidence
