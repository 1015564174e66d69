"""Two systems on the same questions: differences by type with intervals and tests, and what changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from vqa_gs.eval.crossed import crossed_difference
from vqa_gs.eval.evaluate import score_answers
from vqa_gs.eval.metrics import Scores, fully_right, overall
from vqa_gs.eval.question_types import with_question_types
from vqa_gs.eval.rules import DEFAULT_RULE
from vqa_gs.eval.statistics import (
    LEVEL,
    PERMUTATIONS,
    REPLICATES,
    Groups,
    holm,
    mcnemar,
    permutation_test,
    wilcoxon_over_seeds,
)

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import QuestionId, QuestionSet

OVERALL, ANSWER_TYPE, QUESTION_TYPE = "overall", "answer_type", "question_type"
SHOWN = 20


@dataclass(frozen=True)
class System:
    """One of the two that are compared.

    Attributes:
        name: what to call it.
        answers: the predicted answer by question id, of one run or of several that differ in the seed only.
    """

    name: str
    answers: Sequence[Mapping[QuestionId, str]]


def compare(
    question_set: QuestionSet,
    a: System,
    b: System,
    rule: str = DEFAULT_RULE,
    *,
    replicates: int = REPLICATES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Compares two systems on all questions, by answer type and by question type.

    The accuracy of a question is the mean over a system's seeds. Intervals are over images and, of several,
    over seeds (`vqa_gs.eval.crossed`); p-values (permutation) are over images, and over seeds there is Wilcoxon's test.
    Holm's correction is taken over the types of one kind. A difference is a win ("verdict" a or b) only if its interval
    leaves 0 out and its corrected p is below 0.05; else the verdict is None.

    Args:
        question_set: the questions, with annotations.
        a: the one system.
        b: the other.
        rule: the scoring rule of both.
        replicates: resamplings of the intervals.
        permutations: swaps of the tests.
        seed: of both.
        allow_missing: score unanswered questions 0 instead of refusing.

    Returns:
        A dictionary ready for JSON (format "vqa-gs-comparison"); percentages are unrounded, differences are a - b in
        points.

    Raises:
        UsageError: a system has no run, or there are no annotations.
        DataError: answers are missing or unknown, or the rule does not apply.
    """
    question_set, _ = with_question_types(question_set)

    def scores_of(system: System) -> list[Scores]:
        return [score_answers(question_set, answers, rule, allow_missing=allow_missing) for answers in system.answers]

    seeds_a, seeds_b = scores_of(a), scores_of(b)
    if not seeds_a or not seeds_b:
        raise UsageError("a system without runs cannot be compared", mend="give at least one of each")
    of_a, of_b = np.mean(seeds_a, axis=0), np.mean(seeds_b, axis=0)
    assert question_set.annotations is not None
    labels = {
        OVERALL: [""] * len(question_set),
        ANSWER_TYPE: [annotation.answer_type for annotation in question_set.annotations],
        QUESTION_TYPE: [annotation.question_type for annotation in question_set.annotations],
    }
    groups = Groups(question_set.image_ids, labels)
    difference = of_a - of_b
    # Nothing says which seed is which: what seeds of both might share is not taken to cancel.
    found = crossed_difference(groups, seeds_a, seeds_b, replicates, seed)
    p_values = permutation_test(groups, difference, permutations, seed)
    rows = []
    for kind, values in labels.items():
        corrected = holm({name: p for (of, name), p in p_values.items() if of == kind})
        place = np.array(values, dtype=object)
        for name, adjusted in corrected.items():
            inside = place == name
            interval = found[kind, name]
            points = 100 * float(difference[inside].mean())
            rows.append(
                {
                    "kind": kind,
                    "name": name,
                    "questions": int(inside.sum()),
                    "a": 100 * float(of_a[inside].mean()),
                    "b": 100 * float(of_b[inside].mean()),
                    "difference": points,
                    "interval": None if interval is None else list(interval),
                    "p": p_values[kind, name],
                    "p_corrected": adjusted,
                    "verdict": _verdict(points, interval, adjusted),
                }
            )
    return {
        "format": "vqa-gs-comparison",
        "scoring": rule,
        "a": a.name,
        "b": b.name,
        "questions": len(question_set),
        "level": LEVEL,
        "replicates": replicates,
        "permutations": permutations,
        "seed": seed,
        "rows": rows,
        "seeds": _seeds(seeds_a, seeds_b),
        "mcnemar": _mcnemar(seeds_a, seeds_b),
        "changed": _changed(question_set, a, b, of_a, of_b),
    }


def _verdict(points: float, interval: Any, p: float) -> str | None:
    if interval is None or interval.low <= 0 <= interval.high or p >= 0.05:
        return None
    return "a" if points > 0 else "b"


def _seeds(of_a: Sequence[Scores], of_b: Sequence[Scores]) -> dict[str, Any]:
    means = {"a": [overall(scores) for scores in of_a], "b": [overall(scores) for scores in of_b]}
    section: dict[str, Any] = {
        name: {
            "overall": values,
            "mean": float(np.mean(values)),
            "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        }
        for name, values in means.items()
    }
    paired = len(of_a) == len(of_b)
    section["wilcoxon_p"] = wilcoxon_over_seeds(means["a"], means["b"]) if paired else None
    return section


def _mcnemar(of_a: Sequence[Scores], of_b: Sequence[Scores]) -> dict[str, Any] | None:
    # Several seeds answer a question several times: these are not independent trials.
    if len(of_a) != 1 or len(of_b) != 1:
        return None
    result = mcnemar(fully_right(of_a[0]), fully_right(of_b[0]))
    return {"only_a": result.only_a, "only_b": result.only_b, "p": result.p}


def _changed(question_set: QuestionSet, a: System, b: System, of_a: Scores, of_b: Scores) -> list[dict[str, Any]]:
    """The questions whose accuracies differ most, of equal differences those that come first in the file."""
    assert question_set.annotations is not None
    order = np.argsort(-np.abs(of_a - of_b), kind="stable")
    rows = [int(row) for row in order[:SHOWN] if of_a[row] != of_b[row]]
    entries = []
    for row in rows:
        question, annotation = question_set.questions[row], question_set.annotations[row]
        key = question.question_id
        entries.append(
            {
                "question_id": key,
                "image_id": question.image_id,
                "question": question.question,
                "question_type": annotation.question_type,
                "truth": annotation.majority,
                "answers_a": [answers.get(key) for answers in a.answers],
                "answers_b": [answers.get(key) for answers in b.answers],
                "a": 100 * float(of_a[row]),
                "b": 100 * float(of_b[row]),
            }
        )
    return entries
