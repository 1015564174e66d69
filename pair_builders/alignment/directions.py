"""From alignment rows to the directions of a batch: gather indices in NumPy, directions in torch.

The direction at end a is x_a[k] - x_b[l], at end b x_b[l] - x_a[k]. It points away from the partner, because
the logit of an example's own answer has to fall on the way to its partner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from vqa_gs.pair_builders.table import IDENTITY, PairTable
from vqa_gs.pair_builders.table.columns import ragged_positions

from vqa_gs.common.errors import DataError


class AlignmentIndex(NamedTuple):
    """Where the regions of P pairs find their counterparts.

    Attributes:
        index_a: (P, Ra) int64, the region of b that corresponds to region k of a; -1: none, a zero vector.
        moves_a: (P, Ra) bool, whether region k of a is in an alignment row; if not, its direction is zero.
        index_b: (P, Rb) int64, likewise from b to a.
        moves_b: (P, Rb) bool.
    """

    index_a: NDArray[np.int64]
    moves_a: NDArray[np.bool_]
    index_b: NDArray[np.int64]
    moves_b: NDArray[np.bool_]

    def to(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the four as tensors on a device, in this order."""
        a, moves_a, b, moves_b = (torch.from_numpy(part).to(device, non_blocking=True) for part in self)
        return a, moves_a, b, moves_b


def alignment_index(
    table: PairTable,
    pairs: ArrayLike,
    counts_a: ArrayLike,
    counts_b: ArrayLike,
    *,
    width_a: int | None = None,
    width_b: int | None = None,
) -> AlignmentIndex:
    """Spreads the alignment rows of some pairs into gather indices.

    Args:
        table: the table.
        pairs: (P,) which of its pairs.
        counts_a: (P,) the numbers of regions of a's images.
        counts_b: (P,) of b's.
        width_a: Ra, the padded length of a's batch; None: the largest count.
        width_b: Rb, of b's.

    Returns:
        The indices, -1 and False where an image has no region.

    Raises:
        DataError: the rows speak of regions the images do not have, or the ends of an identity pair have
            different numbers of them: the table was made with other features.
    """
    chosen = np.asarray(pairs, np.int64)
    regions_a, regions_b = np.asarray(counts_a, np.int64), np.asarray(counts_b, np.int64)
    if regions_a.shape != chosen.shape or regions_b.shape != chosen.shape:
        raise ValueError(f"{len(chosen)} pairs, but {regions_a.shape} and {regions_b.shape} counts")
    across_a = int(regions_a.max(initial=0)) if width_a is None else width_a
    across_b = int(regions_b.max(initial=0)) if width_b is None else width_b
    if regions_a.max(initial=0) > across_a or regions_b.max(initial=0) > across_b:
        raise ValueError("a batch is narrower than an image in it has regions")
    identity = table.alignment[chosen] == IDENTITY
    unequal = identity & (regions_a != regions_b)
    if unequal.any():
        at = int(np.argmax(unequal))
        raise DataError(
            f"an identity pair whose images have {regions_a[at]} and {regions_b[at]} regions",
            record=f"pair {chosen[at]}",
            mend="build the pair table again with these features",
        )
    bounds, positions = ragged_positions(table.first, chosen)
    owner = np.repeat(np.arange(len(chosen)), np.diff(bounds))
    k, l = table.rows[positions, 0].astype(np.int64), table.rows[positions, 1].astype(np.int64)  # noqa: E741
    beyond = (k >= regions_a[owner]) | (l >= regions_b[owner])
    if beyond.any():
        at = int(np.argmax(beyond))
        pair = owner[at]
        raise DataError(
            f"its alignment has the row ({k[at]}, {l[at]}), but the images have {regions_a[pair]} and"
            f" {regions_b[pair]} regions",
            record=f"pair {chosen[pair]}",
            mend="build the pair table again with these features",
        )
    # An identity pair's rows are not written down: they are (0, 0), (1, 1), ...
    same = np.flatnonzero(identity)
    every, number = np.nonzero(np.arange(across_a) < regions_a[same][:, None])
    owner = np.concatenate([owner, same[every]])
    k, l = np.concatenate([k, number]), np.concatenate([l, number])  # noqa: E741
    shape = len(chosen), across_a, across_b
    return AlignmentIndex(*_spread(owner, k, l, shape[:2]), *_spread(owner, l, k, shape[::2]))


def _spread(
    owner: NDArray[np.int64], here: NDArray[np.int64], there: NDArray[np.int64], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Writes the rows seen from one end into (P, R) gather indices."""
    index, moves = np.full(shape, -1, np.int64), np.zeros(shape, bool)
    has = here >= 0
    index[owner[has], here[has]] = there[has]
    moves[owner[has], here[has]] = True
    return index, moves


def partner_classes(table: PairTable, pairs: ArrayLike, width: int) -> NDArray[np.int64]:
    """Returns the class of the region that corresponds to each region of some pairs' ends.

    Args:
        table: the table.
        pairs: (P,) which of its pairs.
        width: R, the padded length of the batch; at least as many as the rows' regions.

    Returns:
        (2P, R), ends a before ends b, into the table's ``class_names``; -1 where there is none or it is not known.
    """
    chosen = np.asarray(pairs, np.int64)
    classes = np.full((2 * len(chosen), width), -1, np.int64)
    if table.region_class is None:
        return classes
    bounds, positions = ragged_positions(table.first, chosen)
    owner = np.repeat(np.arange(len(chosen)), np.diff(bounds))
    for end in (0, 1):
        region = table.rows[positions, end]
        there = region >= 0
        classes[owner[there] + end * len(chosen), region[there]] = table.region_class[positions[there], 1 - end]
    return classes


def remaining_regions(
    table: PairTable, pairs: ArrayLike, counts_b: ArrayLike, *, width_b: int | None = None
) -> NDArray[np.bool_]:
    """Says which regions of b's images remain after the pairs' masks.

    Args:
        table: the table.
        pairs: (P,) which of its pairs.
        counts_b: (P,) the numbers of regions of b's images.
        width_b: Rb, the padded length of b's batch; None: the largest count.

    Returns:
        (P, Rb), False where the image has no region.

    Raises:
        DataError: a mask speaks of another number of regions than the image has.
    """
    chosen, counts = np.asarray(pairs, np.int64), np.asarray(counts_b, np.int64)
    width = int(counts.max(initial=0)) if width_b is None else width_b
    remain = np.arange(width) < counts[:, None]
    if table.mask_first is None or table.mask_keep is None:
        return remain
    bounds, positions = ragged_positions(table.mask_first, chosen)
    entries = np.diff(bounds)
    unfit = (entries > 0) & (entries != counts)
    if unfit.any():
        at = int(np.argmax(unfit))
        raise DataError(
            f"its mask has {entries[at]} entries, but the image has {counts[at]} regions",
            record=f"pair {chosen[at]}",
            mend="build the pair table again with these features",
        )
    owner = np.repeat(np.arange(len(chosen)), entries)
    region = np.arange(len(positions)) - bounds[owner]
    remain[owner, region] = table.mask_keep[positions] > 0
    return remain


@torch.no_grad()
def directions(
    regions_a: torch.Tensor,
    regions_b: torch.Tensor,
    index_a: torch.Tensor,
    moves_a: torch.Tensor,
    index_b: torch.Tensor,
    moves_b: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the target directions at both ends, as constants: no gradient flows into them.

    Args:
        regions_a: (P, Ra, D) zero-padded features of the images at end a.
        regions_b: (P, Rb, D) at end b; masked regions already zero, if there is a mask.
        index_a: (P, Ra) int64, see :class:`AlignmentIndex`.
        moves_a: (P, Ra) bool.
        index_b: (P, Rb) int64.
        moves_b: (P, Rb) bool.

    Returns:
        (P, Ra, D) with x_a[k] - x_b[l] and (P, Rb, D) with x_b[l] - x_a[k]; zero where nothing moves.
    """
    both = ((regions_a, regions_b, index_a, moves_a), (regions_b, regions_a, index_b, moves_b))
    return tuple(_one_end(*end) for end in both)  # type: ignore[return-value]


def _one_end(here: torch.Tensor, there: torch.Tensor, index: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    if there.shape[1] == 0:
        return here * moves[..., None]
    return differences(
        here, there, counterpart_rows(index, torch.arange(len(here), device=here.device), there.shape[1]), moves
    )


def counterpart_rows(index: torch.Tensor, image: torch.Tensor, width: int | None = None) -> torch.Tensor:
    """Turns regions of one image each into rows of all images' regions.

    Args:
        index: (n, R) int64, a region of the image, -1 for none.
        image: (n,) int64, which image.
        width: regions of an image in the padded batch; None: R.

    Returns:
        (n, R) int64, rows of the batch's regions as one (images * width, D) matrix, -1 for none.
    """
    rows = index + image[:, None] * (index.shape[1] if width is None else width)
    return rows.masked_fill_(index < 0, -1)


@torch.no_grad()
def differences(here: torch.Tensor, there: torch.Tensor, rows: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Returns regions minus their counterparts, (n, R, D); a missing counterpart is a zero vector.

    Args:
        here: (n, R, D).
        there: (images, width, D), the images that hold the counterparts.
        rows: (n, R) int64, see :func:`counterpart_rows`.
        moves: (n, R) bool, where the result is not zero.
    """
    # At 512 images of 36 x 2048 each copy is 150 MB, and filling by a mask costs ten copies: rows are taken and zeroed
    # whole. Zeroing, not multiplying, because 0 * NaN is not 0.
    dim = here.shape[-1]
    out = there.reshape(-1, dim).index_select(0, rows.clamp(min=0).reshape(-1))
    _zero(out, rows < 0)
    torch.sub(here.reshape(-1, dim), out, out=out)
    _zero(out, ~moves)
    return out.view_as(here)


def _zero(matrix: torch.Tensor, where: torch.Tensor) -> None:
    where = where.reshape(-1)
    if matrix.device.type == "cpu":
        matrix.index_fill_(0, where.nonzero().squeeze(1), 0)
    else:  # without waiting for the GPU to count
        matrix.masked_fill_(where[:, None], 0)
