"""Average precision of multi-label classification: by class, their mean, and intervals by resampling images.

The images of a class are ranked by its score. Average precision is the sum over the ranks, from the top, of the rise in
recall times the precision there, without interpolation; images of one score are one rank. It is what COCO multi-label
classification reports (Wang et al., *CNN-RNN*, CVPR 2016, and after it) and scikit-learn's ``average_precision_score``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.eval.statistics import LEVEL, REPLICATES, Interval, image_draws, percentile_interval

from vqa_gs.common.errors import UsageError

Floats = NDArray[np.float64]


class MeanAveragePrecision(NamedTuple):
    """The mean over the classes that some image shows.

    Attributes:
        mean: mAP in percent, unrounded; None where no image shows any class.
        by_class: average precision of each class in percent; None for a class that no image shows: it is left out of
            the mean, as its recall is not defined.
    """

    mean: float | None
    by_class: list[float | None]


def average_precision(scores: Floats, labels: NDArray[np.bool_]) -> float | None:
    """Returns the average precision of one class in 0..1, None where no image shows it.

    Args:
        scores: (n,) float, higher where the class is thought to be there; their order alone matters.
        labels: (n,) bool.

    Raises:
        UsageError: the lengths differ, or a score is not a number.

    Example:
        >>> import numpy as np
        >>> round(average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])), 6)
        0.833333
    """
    _check(scores, labels)
    found = float(_weighted(scores, labels, np.ones((len(scores), 1)))[0])
    return None if math.isnan(found) else found


def mean_average_precision(scores: Floats, labels: NDArray[np.bool_]) -> MeanAveragePrecision:
    """Returns average precision by class and their mean, in percent.

    Args:
        scores: (n, classes) float.
        labels: (n, classes) bool.

    Raises:
        UsageError: the shapes differ, or a score is not a number.
    """
    _check(scores, labels)
    found = [average_precision(scores[:, at], labels[:, at]) for at in range(scores.shape[1])]
    by_class = [None if one is None else 100 * one for one in found]
    known = [one for one in by_class if one is not None]
    return MeanAveragePrecision(math.fsum(known) / len(known) if known else None, by_class)


def intervals(
    scores: Floats, labels: NDArray[np.bool_], replicates: int = REPLICATES, seed: int = 0, level: float = LEVEL
) -> tuple[Interval | None, list[Interval | None]]:
    """Returns percentile intervals of mAP and of each class, in percent, by resampling images with replacement.

    A class of which a draw has no image is left out of that draw's mean.

    Args:
        scores: (n, classes) float.
        labels: (n, classes) bool.
        replicates: how many resamplings.
        seed: of the drawing.
        level: the probability inside.

    Returns:
        The interval of the mean, and those of the classes; None for a class that fewer than two images show.
    """
    _check(scores, labels)
    draws = np.concatenate(list(image_draws(len(scores), replicates, seed)), axis=1).astype(np.float32)
    found = np.stack([_weighted(scores[:, at], labels[:, at], draws) for at in range(scores.shape[1])])
    counted = ~np.isnan(found)
    with np.errstate(invalid="ignore"):
        means = np.where(counted, found, 0).sum(axis=0) / counted.sum(axis=0)
    enough = labels.sum(axis=0) > 1
    each = [percentile_interval(100 * row, level) if many else None for row, many in zip(found, enough, strict=True)]
    return percentile_interval(100 * means, level) if enough.any() else None, each


def _check(scores: Floats, labels: NDArray[np.bool_]) -> None:
    if scores.shape != labels.shape or not len(scores):
        raise UsageError(f"scores are {scores.shape}, labels {labels.shape}", mend="give one score for each label")
    if np.isnan(scores).any():
        raise UsageError("a score is not a number")


def _weighted(scores: Floats, labels: NDArray[np.bool_], weights: NDArray[np.floating]) -> Floats:
    """Returns average precision with each image counted so often, (r,); NaN where no image that counts has the class.

    Args:
        scores: (n,).
        labels: (n,).
        weights: (n, r).
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last image of each score
    drawn = weights[order].astype(np.float64)
    everyone = np.cumsum(drawn, axis=0)[ends]
    right = np.cumsum(drawn * labels[order][:, None], axis=0)[ends]
    risen = np.diff(right, axis=0, prepend=0)
    positives = right[-1]
    precision = right / np.maximum(everyone, 1)
    with np.errstate(invalid="ignore"):
        result: Floats = (risen * precision).sum(axis=0) / np.where(positives > 0, positives, np.nan)
    return result
