"""Answer priors of a split, and how far those of two splits lie apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation

Prior = Mapping[str, int]


def answer_key(annotation: Annotation) -> str:
    """Returns the majority answer as it counts for priors: stripped and normalised."""
    return normalize_answer(strip_answer(annotation.majority))


def answer_priors(annotations: Sequence[Annotation]) -> dict[str, Counter[str]]:
    """Returns, for each question type, how often each majority answer is given."""
    priors: dict[str, Counter[str]] = {}
    for annotation in annotations:
        priors.setdefault(annotation.question_type, Counter())[answer_key(annotation)] += 1
    return priors


def total_variation(first: Prior, second: Prior) -> float:
    """Half the sum of the absolute differences of two distributions: 0 equal, 1 disjoint.

    Args:
        first: counts of answers; at least one.
        second: as ``first``.
    """
    n, m = sum(first.values()), sum(second.values())
    return 0.5 * math.fsum(abs(first.get(key, 0) / n - second.get(key, 0) / m) for key in {*first, *second})


def jensen_shannon(first: Prior, second: Prior) -> float:
    """Jensen-Shannon divergence of two distributions in bits: 0 equal, 1 disjoint (Lin, 1991).

    Args:
        first: counts of answers; at least one.
        second: as ``first``.
    """
    n, m = sum(first.values()), sum(second.values())
    terms = []
    for key in {*first, *second}:
        p, q = first.get(key, 0) / n, second.get(key, 0) / m
        middle = (p + q) / 2
        terms += [0.5 * share * math.log2(share / middle) for share in (p, q) if share > 0]
    # The order of a set of strings differs from process to process; fsum's result does not depend on it.
    return min(1.0, max(0.0, math.fsum(terms)))


@dataclass(frozen=True)
class TypeShift:
    """How one question type's answer prior changes from training to test.

    Attributes:
        question_type: the type.
        train: training questions of the type.
        test: test questions of the type.
        total_variation: distance of the two priors, 0 to 1; None where one side has no such question.
        jensen_shannon: their divergence in bits, 0 to 1; None likewise.
        train_prior_hits: share of test questions whose majority answer is training's most common one.
        shared: share of test questions whose answer is given to a training question of the type.
        top_train: the most common training answers with their shares.
        top_test: the most common test answers with their shares.
    """

    question_type: str
    train: int
    test: int
    total_variation: float | None
    jensen_shannon: float | None
    train_prior_hits: float | None
    shared: float | None
    top_train: list[tuple[str, float]]
    top_test: list[tuple[str, float]]


def _top(prior: Counter[str], count: int) -> list[tuple[str, float]]:
    total = sum(prior.values())
    # Ties by the text, so that the order of the file has no say.
    ordered = sorted(prior.items(), key=lambda item: (-item[1], item[0]))
    return [(answer, number / total) for answer, number in ordered[:count]]


def prior_shift(
    train: Sequence[Annotation], test: Sequence[Annotation], top: int = 5
) -> tuple[list[TypeShift], dict[str, Any]]:
    """Measures, type by type, how far the answer priors of two splits lie apart.

    Args:
        train: annotations of the training split.
        test: annotations of the test split.
        top: how many of the most common answers to list.

    Returns:
        One entry for each question type, most test questions first; and a summary, its means weighted by test
        questions over the types that both splits have.
    """
    first, second = answer_priors(train), answer_priors(test)
    shifts = []
    for kind in {*first, *second}:
        a, b = first.get(kind, Counter()), second.get(kind, Counter())
        n, m = sum(a.values()), sum(b.values())
        both = bool(n and m)
        top_a = _top(a, top)
        shifts.append(
            TypeShift(
                kind,
                n,
                m,
                total_variation(a, b) if both else None,
                jensen_shannon(a, b) if both else None,
                b[top_a[0][0]] / m if both else None,
                sum(number for answer, number in b.items() if answer in a) / m if both else None,
                top_a,
                _top(b, top),
            )
        )
    shifts.sort(key=lambda shift: (-shift.test, -shift.train, shift.question_type))
    common = [shift for shift in shifts if shift.total_variation is not None]
    weight = sum(shift.test for shift in common)
    summary: dict[str, Any] = {
        "train_questions": len(train),
        "test_questions": len(test),
        "question_types": len(shifts),
        "question_types_in_both": len(common),
    }
    for name in ("total_variation", "jensen_shannon", "train_prior_hits", "shared"):
        summary[name] = sum(getattr(shift, name) * shift.test for shift in common) / weight if weight else None
    return shifts, summary


def shift_document(shifts: Sequence[TypeShift], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the measurement as plain containers, ready for JSON."""
    return {"summary": dict(summary), "per_question_type": {shift.question_type: asdict(shift) for shift in shifts}}
