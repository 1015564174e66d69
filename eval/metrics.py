"""Averages over questions and pairs of questions; pure functions of arrays.

Percentages are floats in 0..100, unrounded: rounding is for display, and differs between versions of Python.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import UsageError

Scores = npt.NDArray[np.float64]
# Means of per-question accuracies may overshoot 100 by a rounding error.
Percent = Annotated[float, msgspec.Meta(ge=0.0, le=100.000001)]
Count = Annotated[int, msgspec.Meta(ge=0)]

# Accuracies are fractions of small whole numbers; nothing but rounding lies between this and 1.
_FULLY_RIGHT = 1 - 1e-9


class GroupMean(msgspec.Struct, frozen=True):
    """A mean accuracy and what it was taken over.

    Attributes:
        accuracy: percent, unrounded.
        questions: their number.
    """

    accuracy: float
    questions: int


class PairAccuracy(msgspec.Struct, frozen=True):
    """The share of pairs of which both questions are fully right.

    Attributes:
        accuracy: percent, unrounded; None where there are no pairs.
        pairs: the number of pairs.
    """

    accuracy: Percent | None = None
    pairs: Count = 0


def _require_lengths(scores: Scores, *others: Sequence[object]) -> None:
    for other in others:
        if len(other) != len(scores):
            raise UsageError(
                f"{len(scores)} scores, but {len(other)} entries beside them",
                mend="give one for each question",
            )


def overall(scores: Scores) -> float:
    """Returns the mean accuracy in percent.

    Args:
        scores: float64 (n,), accuracies in 0..1, n at least 1.

    Raises:
        UsageError: there are no scores.
    """
    if not len(scores):
        raise UsageError("no questions to average over", mend="give at least one question")
    # The exact sum, rounded once: the mean does not depend on the order of the questions.
    return 100 * math.fsum(scores) / len(scores)


def by_group(scores: Scores, groups: Sequence[str]) -> dict[str, GroupMean]:
    """Returns the mean accuracy of each group, sorted by name.

    Args:
        scores: float64 (n,), accuracies in 0..1.
        groups: the group of each question: its answer type, or its question type.

    Raises:
        UsageError: the lengths differ.
    """
    _require_lengths(scores, groups)
    parts: dict[str, list[float]] = {}
    for score, group in zip(scores.tolist(), groups, strict=True):
        parts.setdefault(group, []).append(score)
    return {group: GroupMean(100 * math.fsum(part) / len(part), len(part)) for group, part in sorted(parts.items())}


def by_code(scores: Scores, code: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, GroupMean]:
    """Returns the same from the groups' codes (n,) into ``names``, which are sorted; the numbers are the same."""
    found = {}
    for number in np.flatnonzero(np.bincount(code)).tolist():
        part = scores[code == number].tolist()
        found[names[number]] = GroupMean(100 * math.fsum(part) / len(part), len(part))
    return found


def fully_right(scores: Scores) -> npt.NDArray[np.bool_]:
    """Returns bool (n,): which accuracies are 1."""
    return scores >= _FULLY_RIGHT


def _share(right: int, pairs: int) -> PairAccuracy:
    return PairAccuracy(100 * right / pairs if pairs else None, pairs)


def pair_accuracy(scores: Scores, pairs: npt.ArrayLike) -> PairAccuracy:
    """Returns the share of the given pairs whose two questions are both fully right.

    The definition of KaihuaTang's ``eval-acc.py`` for VQA v2's complementary pairs.

    Args:
        scores: float64 (n,), accuracies in 0..1.
        pairs: int (p, 2), positions in ``scores``.
    """
    rows = np.asarray(pairs, np.int64).reshape(-1, 2)
    return _share(int(fully_right(scores)[rows].all(axis=1).sum()), len(rows))


def codes(values: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Returns int64 (n,): a number for each value, the same for equal ones."""
    known = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return np.fromiter(map(known.__getitem__, values), dtype=np.int64, count=len(values))


def _joined(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns codes of the pairs (a, b); small again, so that joining a third time cannot overflow."""
    if not len(a):
        return a
    return np.unique(a * (int(b.max()) + 1) + b, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _equal_pairs(code: npt.NDArray[np.int64]) -> int:
    counts = np.bincount(code) if len(code) else np.zeros(0, np.int64)
    return int((counts * (counts - 1) // 2).sum())


def count_same_question_pairs(
    text: npt.NDArray[np.int64], image: npt.NDArray[np.int64], answer: npt.NDArray[np.int64]
) -> int:
    """Counts the unordered pairs of equal text, different images and different answers.

    By inclusion and exclusion over the pairs of equal text: all, less those of one image, less those of one
    answer, plus those of both. Sorting is the only cost; the pairs, of which a common question alone makes
    millions, are never listed.

    Args:
        text: int64 (n,), codes of the questions' texts, from 0 (see `codes`).
        image: int64 (n,), codes of the images.
        answer: int64 (n,), codes of the majority answers.
    """
    text_image, text_answer = _joined(text, image), _joined(text, answer)
    return (
        _equal_pairs(text)
        - _equal_pairs(text_image)
        - _equal_pairs(text_answer)
        + _equal_pairs(_joined(text_image, answer))
    )


def same_question_pair_accuracy(
    scores: Scores, texts: Sequence[Hashable], images: Sequence[Hashable], answers: Sequence[Hashable]
) -> PairAccuracy:
    """Returns the pair accuracy over all pairs of one question, two images and two majority answers.

    A model that answers by the question alone gets hardly any right: only where annotators disagree so
    much that one answer is fully right for both images.

    Args:
        scores: float64 (n,), accuracies in 0..1.
        texts: the normalised text of each question.
        images: the image of each question; two questions about one image make no pair.
        answers: the normalised majority answer of each question.

    Raises:
        UsageError: the lengths differ.
    """
    _require_lengths(scores, texts, images, answers)
    return coded_pair_accuracy(fully_right(scores), codes(texts), codes(images), codes(answers))


def coded_pair_accuracy(
    right: npt.NDArray[np.bool_],
    text: npt.NDArray[np.int64],
    image: npt.NDArray[np.int64],
    answer: npt.NDArray[np.int64],
) -> PairAccuracy:
    """Returns the same from codes (n,), and from which questions are fully right, bool (n,)."""
    return _share(
        count_same_question_pairs(text[right], image[right], answer[right]),
        count_same_question_pairs(text, image, answer),
    )
