"""Which region of one image corresponds to which of another.

Two images have no common order of regions, so before their difference means anything the regions are
matched, one to one, at the least total cost. The cost of a match is the Euclidean distance of the two feature
vectors, in units of its mean over all possible matches, plus a weighted distance of the boxes. Euclidean and
not cosine, because a pair's direction *is* the Euclidean difference of matched regions: of all matchings,
the one found has the shortest directions. In units of its mean, so that ``box_weight`` means the same for
ReLU activations, one-hot categories and standardised features.

Pairs are matched in batches: one padded product gives the distances of all of them, and only the assignment itself,
microseconds for a few dozen regions, is a call a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError

BOX_WEIGHT = 0.5

# The part of |a|^2 + |b|^2 below which |a|^2 + |b|^2 - 2ab has lost its digits in float64.
_CANCELLED = 1e-9


@dataclass(eq=False)
class Side:
    """The regions at one end of B pairs, padded.

    Attributes:
        features: (B, R, D) float64; what the padding holds does not matter, as long as it is finite.
        boxes: (B, R, 4 or more) x1, y1, x2, y2 as parts of the image's width and height, or None.
        counts: (B,) int64, how many regions there are.
    """

    features: NDArray[np.float64]
    boxes: NDArray[Any] | None
    counts: NDArray[np.int64]

    def present(self) -> NDArray[np.bool_]:
        """Returns where there is a region, (B, R)."""
        there: NDArray[np.bool_] = np.arange(self.features.shape[1]) < self.counts[:, None]
        return there

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        """The squared lengths of the features, (B, R)."""
        return np.asarray(np.einsum("bkd,bkd->bk", self.features, self.features))


class Matches(NamedTuple):
    """Alignment rows of B pairs, padded: first those with a region of a, in its order, then b's alone.

    Attributes:
        rows: (B, Ra + Rb, 2) int32.
        there: (B, Ra + Rb) bool, where there is a row.
        length: (B, Ra + Rb) float64, the length of each row's direction; a missing end counts as the zero vector.
    """

    rows: NDArray[np.int32]
    there: NDArray[np.bool_]
    length: NDArray[np.float64]

    def differing(self) -> Matches:
        """Leaves out the rows whose ends are equal."""
        return self._replace(there=self.there & (self.length > 0))

    def sparse(self, regions: NDArray[np.int64]) -> Matches:
        """Keeps the rows whose ends differ most, in their order; of equal ones the first.

        Args:
            regions: (B,) how many rows to keep; all where there are fewer.
        """
        order = np.argsort(np.where(self.there, -self.length, np.inf), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
        return self._replace(there=self.there & (rank < regions[:, None]))


def pairwise_distances(a: Side, b: Side) -> NDArray[np.float64]:
    """Returns the Euclidean distances of the regions at both ends, exactly 0 for equal ones, (B, Ra, Rb)."""
    x, y = a.features, b.features
    scale = a.squares[:, :, None] + b.squares[:, None, :]
    square = x @ y.transpose(0, 2, 1)
    square *= -2
    square += scale
    # The product is a tenth of the cost of differences, but rounds worst where two vectors nearly agree, and
    # exactly these matches decide the assignment. There are few of them: they are computed again.
    near = square <= _CANCELLED * scale
    near &= a.present()[:, :, None] & b.present()[:, None, :]
    pair, near_a, near_b = np.nonzero(near)
    for start in range(0, len(pair), 4096):
        some = slice(start, start + 4096)
        difference = x[pair[some], near_a[some]] - y[pair[some], near_b[some]]
        square[pair[some], near_a[some], near_b[some]] = (difference * difference).sum(axis=1)
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def box_distances(boxes_a: NDArray[Any], boxes_b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the mean absolute difference of box corners, (..., Ra, Rb), 0..1 for boxes within their images.

    Args:
        boxes_a: (..., Ra, 4 or more) x1, y1, x2, y2 as parts of the image's width and height; further columns are
            not looked at.
        boxes_b: (..., Rb, 4 or more) likewise.
    """
    a = np.asarray(boxes_a, np.float64)[..., :4]
    b = np.asarray(boxes_b, np.float64)[..., :4]
    apart: NDArray[np.float64] = np.abs(a[..., :, None, 0] - b[..., None, :, 0])
    for corner in (1, 2, 3):
        apart += np.abs(a[..., :, None, corner] - b[..., None, :, corner])
    return apart / 4


def match_batch(a: Side, b: Side, box_weight: float = BOX_WEIGHT) -> Matches:
    """Matches the regions of B pairs of images one to one at the least total cost.

    The regions that are left over in the image with more are part of the difference (an object that appears
    or disappears): they get rows with -1 on the other side. Boxes that are all equal (placeholders: the whole
    image) have no effect, nor has the order of the regions, except on which of several equal ones is taken.

    Args:
        a: the regions at end a.
        b: those at end b.
        box_weight: cost of boxes at opposite corners, in mean feature distances.

    Raises:
        DataError: a feature or box is not finite; ``record`` names the pair by its number.
    """
    from scipy.optimize import linear_sum_assignment  # here, as it takes longer to import than most commands

    distance = pairwise_distances(a, b)
    both = a.present()[:, :, None] & b.present()[:, None, :]
    entries = np.maximum(a.counts * b.counts, 1)
    mean = np.where(both, distance, 0).sum(axis=(1, 2)) / entries
    cost = distance / np.where(mean > 0, mean, 1)[:, None, None]
    if a.boxes is not None and b.boxes is not None and box_weight:
        apart = box_distances(a.boxes, b.boxes)
        # A constant changes no assignment; adding it would only round away differences of appearance.
        low, high = (
            np.where(both, apart, np.inf).min((1, 2), initial=np.inf),
            np.where(both, apart, 0).max((1, 2), initial=0),
        )
        cost += box_weight * np.where((high > low)[:, None, None], apart, 0)
    finite = np.isfinite(cost) | ~both
    if not finite.all():
        pair = int(np.argmin(finite.all(axis=(1, 2))))
        raise DataError("a region's features or box are not finite", record=pair)
    partner = np.full(cost.shape[:2], -1, np.int32)
    taken = np.zeros((len(cost), cost.shape[2]), bool)
    for pair, (count_a, count_b) in enumerate(zip(a.counts.tolist(), b.counts.tolist(), strict=True)):
        if count_a and count_b:
            matched_a, matched_b = linear_sum_assignment(cost[pair, :count_a, :count_b])
            partner[pair, matched_a] = matched_b
            taken[pair, matched_b] = True
    return _as_rows(partner, taken, distance, a, b)


def _as_rows(
    partner: NDArray[np.int32], taken: NDArray[np.bool_], distance: NDArray[np.float64], a: Side, b: Side
) -> Matches:
    pairs, wide_a = partner.shape
    wide_b = taken.shape[1]
    rows = np.full((pairs, wide_a + wide_b, 2), -1, np.int32)
    rows[:, :wide_a, 0] = np.arange(wide_a)
    rows[:, :wide_a, 1] = partner
    rows[:, wide_a:, 1] = np.arange(wide_b)
    length = np.sqrt(np.concatenate([a.squares, b.squares], axis=1))
    if wide_b:
        own = np.take_along_axis(distance, np.maximum(partner, 0)[:, :, None], axis=2)[:, :, 0]
        length[:, :wide_a] = np.where(partner >= 0, own, length[:, :wide_a])
    return Matches(rows, np.concatenate([a.present(), b.present() & ~taken], axis=1), length)
