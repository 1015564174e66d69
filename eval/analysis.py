"""The whole metrics file: averages, their intervals, every breakdown the data allows, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS
from vqa_gs.eval.evaluate import score_answers, subset_rows, summarize
from vqa_gs.eval.evidence import Evidence, Scored
from vqa_gs.eval.metrics import Scores
from vqa_gs.eval.question_types import with_question_types
from vqa_gs.eval.rules import DEFAULT_RULE
from vqa_gs.eval.runs import Intervals, SplitMetrics
from vqa_gs.eval.statistics import REPLICATES, Groups, Interval, bootstrap

from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase
from vqa_gs.data.edited import photograph_of
from vqa_gs.data.questions import QuestionId, QuestionSet

# Rules that count votes, made for ten annotators.
_OF_TEN = ("official", "official-pre2021", "min-n-over-3")


def analyse(
    question_set: QuestionSet,
    answers: Mapping[QuestionId, str],
    rule: str = DEFAULT_RULE,
    split: str | None = None,
    subsets: Mapping[str, Sequence[QuestionId]] | None = None,
    *,
    evidence: Evidence | None = None,
    allow_missing: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
    scores: Scores | None = None,
) -> SplitMetrics:
    """Scores answers and looks at them from all sides; what `vqa_gs.eval.evaluate.evaluate` returns, and more.

    Args:
        question_set: the questions, with annotations.
        answers: the predicted answer by question id.
        rule: the scoring rule.
        split: the split's name.
        subsets: lists of question ids by name.
        evidence: what else is known, pair lists included; it decides which breakdowns there are.
        allow_missing: score unanswered questions 0 instead of refusing.
        replicates: resamplings of the intervals; 0 leaves them out.
        seed: of the resampling.
        scores: the accuracies of `score_answers`, where they are known already.

    Returns:
        A metrics file's content with ``intervals``, ``breakdowns`` and ``notes``.

    Raises:
        UsageError: see `vqa_gs.eval.evaluate.evaluate` and the breakdowns.
        DataError: likewise.
    """
    evidence = evidence or Evidence()
    question_set, assigned = with_question_types(question_set)
    if scores is None:
        with phase(f"scoring {len(question_set):,} answers"):
            scores = score_answers(question_set, answers, rule, allow_missing=allow_missing)
    missing = len(question_set) - len(answers)
    metrics = summarize(question_set, scores, rule, split, subsets, evidence.pairs, missing=missing)
    predictions = [answers.get(question_id) for question_id in question_set.question_ids]
    rows = {name: subset_rows(question_set, name, listed) for name, listed in (subsets or {}).items()}
    scored = Scored(question_set, predictions, scores, rule, evidence, rows)
    sections = {}
    for name in BREAKDOWNS:
        with phase(f"breaking the scores down: {name}"):
            sections[name] = BREAKDOWNS[name].of(scored)
    return msgspec.structs.replace(
        metrics,
        intervals=intervals(question_set, scores, subsets or {}, replicates, seed) if replicates else None,
        breakdowns={name: section for name, section in sections.items() if section is not None},
        notes=_notes(question_set, rule, missing, assigned),
    )


def intervals(
    question_set: QuestionSet,
    scores: Scores,
    subsets: Mapping[str, Sequence[QuestionId]],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    """Returns the intervals of a set's averages, by resampling images."""
    annotations = question_set.annotations
    if annotations is None:
        raise UsageError("there are no annotations", mend="give the annotations file")
    labels: dict[str, Sequence[str]] = {
        "overall": [""] * len(scores),
        "per_answer_type": [annotation.answer_type for annotation in annotations],
        "per_question_type": [annotation.question_type for annotation in annotations],
    }
    masks = {}
    for name, listed in subsets.items():
        masks[f"subset {name}"] = inside = np.zeros(len(scores), np.bool_)
        inside[subset_rows(question_set, name, listed)] = True
    with phase(f"resampling images {replicates:,} times for intervals"):
        found = bootstrap(
            Groups(list(map(photograph_of, question_set.image_ids)), labels, masks), scores, replicates, seed
        )

    def of(kind: str) -> dict[str, Interval | None]:
        return {name: interval for (group, name), interval in found.items() if group == kind}

    return Intervals(
        replicates=replicates,
        seed=seed,
        overall=found["overall", ""],
        per_answer_type=of("per_answer_type"),
        per_question_type=of("per_question_type"),
        subsets={name: found[f"subset {name}", "in"] for name in subsets},
    )


def _notes(question_set: QuestionSet, rule: str, missing: int, assigned: int) -> list[str]:
    notes = []
    if missing:
        notes.append(f"{missing:,} of {len(question_set):,} questions have no answer and count as 0")
    if assigned:
        notes.append(f"{assigned:,} question types are assigned by the questions' first words")
    numbers = {len(annotation.answers) for annotation in question_set.annotations or ()}
    if rule in _OF_TEN and numbers - {10}:
        few = sum(len(annotation.answers) != 10 for annotation in question_set.annotations or ())
        notes.append(
            f"{few:,} questions have {min(numbers)} to {max(numbers)} answers instead of ten: the rule {rule} then"
            " gives other steps than with ten, so the number compares with no published one"
        )
    return notes
