"""Which region of one image corresponds to which of another.

Two images have no common order of regions, so before their difference means anything the regions are
matched, one to one, at the least total cost. The cost of a match is the Euclidean distance of the two feature
vectors, in units of its mean over all possible matches, plus a weighted distance of the boxes. Euclidean and
not cosine, because a pair's direction *is* the Euclidean difference of matched regions: of all matchings,
the one found has the shortest directions. In units of its mean, so that ``box_weight`` means the same for
ReLU activations, one-hot categories and standardised features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath

BOX_WEIGHT = 0.5

# The part of |a|^2 + |b|^2 below which |a|^2 + |b|^2 - 2ab has lost its digits in float64.
_CANCELLED = 1e-9


def pairwise_distances(features_a: NDArray[Any], features_b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the Euclidean distances between two sets of vectors, exactly 0 for equal ones.

    Args:
        features_a: (Ra, D).
        features_b: (Rb, D).

    Returns:
        (Ra, Rb).
    """
    a = np.asarray(features_a, np.float64)
    b = np.asarray(features_b, np.float64)
    scale = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :]
    square = scale - 2 * (a @ b.T)
    # The product is a tenth of the cost of differences, but rounds worst where two vectors nearly agree, and
    # exactly these matches decide the assignment. There are few of them: they are computed again.
    near_a, near_b = np.nonzero(square <= _CANCELLED * scale)
    square[near_a, near_b] = ((a[near_a] - b[near_b]) ** 2).sum(axis=1)
    return np.sqrt(square)


def box_distances(boxes_a: NDArray[Any], boxes_b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the mean absolute difference of box corners, (Ra, Rb), 0..1 for boxes within their images.

    Args:
        boxes_a: (Ra, 4 or more) x1, y1, x2, y2 as parts of the image's width and height; further columns are
            not looked at.
        boxes_b: (Rb, 4 or more) likewise.
    """
    a = np.asarray(boxes_a, np.float64)[:, :4]
    b = np.asarray(boxes_b, np.float64)[:, :4]
    return np.abs(a[:, None] - b[None, :]).mean(axis=2)


def match_regions(
    features_a: NDArray[Any],
    features_b: NDArray[Any],
    boxes_a: NDArray[Any] | None = None,
    boxes_b: NDArray[Any] | None = None,
    box_weight: float = BOX_WEIGHT,
) -> NDArray[np.int32]:
    """Matches the regions of two images one to one at the least total cost.

    The regions that are left over in the image with more are part of the difference (an object that appears
    or disappears): they get rows with -1 on the other side. Boxes that are all equal (placeholders: the whole
    image) have no effect, nor has the order of the regions, except on which of several equal ones is taken.

    Args:
        features_a: (Ra, D).
        features_b: (Rb, D).
        boxes_a: (Ra, 4 or more) as parts of the image, see :func:`box_distances`; None: by appearance only.
        boxes_b: (Rb, 4 or more) likewise.
        box_weight: cost of boxes at opposite corners, in mean feature distances.

    Returns:
        (max(Ra, Rb), 2) int32 rows (k, l), first those with a region of a, in its order, then b's alone.

    Raises:
        ValueError: the shapes do not fit each other.
        DataError: a feature or box is not finite.
    """
    if features_a.ndim != 2 or features_b.ndim != 2 or features_a.shape[1] != features_b.shape[1]:
        raise ValueError(f"features must be (Ra, D) and (Rb, D), got {features_a.shape}, {features_b.shape}")
    count_a, count_b = len(features_a), len(features_b)
    cost = pairwise_distances(features_a, features_b)
    mean = cost.mean() if cost.size else 0.0
    if mean > 0:
        cost /= mean
    if boxes_a is not None and boxes_b is not None and box_weight:
        if len(boxes_a) != count_a or len(boxes_b) != count_b:
            raise ValueError(f"{len(boxes_a)}, {len(boxes_b)} boxes for {count_a}, {count_b} regions")
        distance = box_distances(boxes_a, boxes_b)
        # A constant changes no assignment; adding it would only round away differences of appearance.
        if distance.size and distance.max() > distance.min():
            cost += box_weight * distance
    if not np.isfinite(cost).all():
        raise DataError("a region's features or box are not finite")
    matched_a, matched_b = linear_sum_assignment(cost)
    partner = np.full(count_a, -1, np.int32)
    partner[matched_a] = matched_b
    alone_b = np.setdiff1d(np.arange(count_b, dtype=np.int32), matched_b)
    rows = np.full((count_a + len(alone_b), 2), -1, np.int32)
    rows[:count_a, 0] = np.arange(count_a)
    rows[:count_a, 1] = partner
    rows[count_a:, 1] = alone_b
    return rows


def row_distances(rows: NDArray[np.int32], features_a: NDArray[Any], features_b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the length of each row's direction, (S,); a missing end counts as the zero vector.

    Args:
        rows: (S, 2).
        features_a: (Ra, D).
        features_b: (Rb, D).
    """
    ends = []
    for regions, features in ((rows[:, 0], features_a), (rows[:, 1], features_b)):
        end = np.zeros((len(rows), features.shape[1]), np.float64)
        end[regions >= 0] = features[regions[regions >= 0]]
        ends.append(end)
    return np.linalg.norm(ends[0] - ends[1], axis=1)


def sparse_rows(
    rows: NDArray[np.int32], features_a: NDArray[Any], features_b: NDArray[Any], regions: int = 1
) -> NDArray[np.int32]:
    """Keeps the rows whose ends differ most, in their order; of equal ones the first.

    Args:
        rows: (S, 2) alignment rows.
        features_a: (Ra, D).
        features_b: (Rb, D).
        regions: how many rows to keep; all where there are fewer.

    Returns:
        (min(S, regions), 2).

    Raises:
        UsageError: ``regions`` is below 1.
    """
    if regions < 1:
        raise UsageError(f"cannot keep {regions} regions", mend="set sparse_regions to 1 or more")
    order = np.argsort(-row_distances(rows, features_a, features_b), kind="stable")
    return rows[np.sort(order[:regions])]


def require_identity(count_a: int, count_b: int, image_a: object, image_b: object, file: StrPath | None = None) -> None:
    """Checks that the regions of two images can correspond number by number.

    Raises:
        DataError: the images have different numbers of regions.
    """
    if count_a != count_b:
        raise DataError(
            f"identity alignment needs equal numbers of regions, image {image_a} has {count_a} and"
            f" image {image_b} has {count_b}",
            file=file,
            mend="extract both with the same boxes, or choose the alignment matched or sparse",
        )
