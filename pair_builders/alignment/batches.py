"""Alignment rows of many pairs: the regions of their images read from a store and matched in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.alignment.matching import Side, match_batch
from vqa_gs.pair_builders.sources import Progress

from vqa_gs.common.errors import DataError
from vqa_gs.common.phases import phase
from vqa_gs.data.questions import ImageId

# Features of the pairs matched at a time, in float64: 13 pairs of 36 x 2048 regions.
_BATCH_BYTES = 16 << 20


def align_pairs(
    store: RegionStore,
    images_a: Sequence[ImageId],
    images_b: Sequence[ImageId],
    *,
    box_weight: float,
    sparse: NDArray[np.int64],
    keep_a: Sequence[NDArray[np.int64] | None] | None = None,
    keep_b: Sequence[NDArray[np.int64] | None] | None = None,
    named: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Matches the regions of P pairs of images, in batches of bounded memory.

    Args:
        store: the store.
        images_a: P images.
        images_b: P images.
        box_weight: see :func:`vqa_gs.pair_builders.alignment.matching.match_batch`.
        sparse: (P,) how many rows of each pair to keep, 0 for all of them.
        keep_a: which regions of a's image take part, or None for all.
        keep_b: likewise of b's.
        named: (P,) bool, pairs whose rows between equal regions are left out; None: none.
        progress: called with the pairs done.

    Returns:
        (P+1,) bounds and (S, 2) alignment rows.

    Raises:
        DataError: a region is not there, or features or boxes are not finite.
    """
    rows: list[NDArray[np.int32]] = []
    lengths = np.zeros(len(images_a), np.int64)
    batch: RegionBatch | None = None
    counts = np.maximum(store.counts(images_a), store.counts(images_b)) if len(images_a) else np.zeros(0, np.int64)
    step = max(1, _BATCH_BYTES // max(1, 16 * int(counts.max(initial=1)) * store.dim))
    with phase("matching the regions of pairs", len(images_a), "pairs") as far:
        for start in range(0, len(images_a), step):
            some = range(start, min(start + step, len(images_a)))
            # Neighbouring pairs share images: each is read once.
            places: dict[ImageId, int] = {}
            at_a = np.array([places.setdefault(images_a[pair], len(places)) for pair in some], np.int64)
            at_b = np.array([places.setdefault(images_b[pair], len(places)) for pair in some], np.int64)
            batch = store.read_batch(list(places), out=batch)
            boxes = normalized_boxes(batch.boxes.numpy(), batch.sizes.numpy())
            arrays = batch.features.numpy(), boxes, batch.counts.numpy()
            left, numbers_a = _side(arrays, at_a, None if keep_a is None else keep_a[start : some.stop])
            right, numbers_b = _side(arrays, at_b, None if keep_b is None else keep_b[start : some.stop])
            try:
                found = match_batch(left, right, box_weight)
            except DataError as error:
                pair = start + int(error.record or 0)
                record = f"images {images_a[pair]!r}, {images_b[pair]!r}"
                raise DataError(error.problem, file=store.path, record=record) from error
            if named is not None and named[start : some.stop].any():
                differs = found.differing().there
                found = found._replace(there=np.where(named[start : some.stop, None], differs, found.there))
            wanted = sparse[start : some.stop]
            if wanted.any():
                found = found.sparse(np.where(wanted > 0, wanted, np.iinfo(np.int64).max))
            for end, numbers in ((0, numbers_a), (1, numbers_b)):
                if numbers is not None:
                    regions = found.rows[:, :, end]
                    found.rows[:, :, end] = np.where(
                        regions >= 0, np.take_along_axis(numbers, np.maximum(regions, 0), axis=1), -1
                    )
            rows.append(found.rows[found.there])
            lengths[start : some.stop] = found.there.sum(axis=1)
            far(len(some))
            if progress is not None:
                progress(some.stop, len(images_a))
    return (
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(rows) if rows else np.zeros((0, 2), np.int32),
    )


def _side(
    arrays: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]],
    at: NDArray[np.int64],
    keep: Sequence[NDArray[np.int64] | None] | None,
) -> tuple[Side, NDArray[np.int64] | None]:
    """Gathers one end of some pairs; with ``keep`` also the regions' numbers in their images, (B, R)."""
    features, boxes, counts = arrays
    if keep is None or all(some is None for some in keep):
        wide = int(counts[at].max(initial=0))
        return Side(features[at, :wide].astype(np.float64), boxes[at, :wide], counts[at]), None
    chosen = [np.arange(counts[place]) if some is None else some for place, some in zip(at, keep, strict=True)]
    sizes = np.array([len(some) for some in chosen], np.int64)
    numbers = np.zeros((len(at), int(sizes.max(initial=0)) or 1), np.int64)
    numbers[np.arange(numbers.shape[1]) < sizes[:, None]] = np.concatenate(chosen)
    where = at[:, None], numbers
    return Side(features[where].astype(np.float64), boxes[where], sizes), numbers
