"""What builders read from a region store, streamed in batches: pooled images, and alignment rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders._columns import QuestionId
from vqa_gs.pair_builders._nearest import Metric
from vqa_gs.pair_builders.alignment import Side, match_batch

from vqa_gs.common.errors import DataError

ImageId = int | str

Progress = Callable[[int, int], None]
"""Called with what is done and the total of the stage under way; a new stage begins at a lower number."""

# Images in memory at a time: of 36 x 2048 regions 38 MB.
_IMAGES = 128

# Features of the pairs matched at a time, in float64: 13 pairs of 36 x 2048 regions.
_BATCH_BYTES = 16 << 20


def require_images(store: RegionStore, image_ids: Sequence[ImageId], question_ids: Sequence[QuestionId]) -> None:
    """Checks, before anything long begins, that every question's image is in the store.

    Args:
        store: the store.
        image_ids: n ids.
        question_ids: the n questions about them.

    Raises:
        DataError: one is not; the message names it, its question and how many there are.
    """
    missing = [at for at, image_id in enumerate(image_ids) if image_id not in store]
    if not missing:
        return
    image_id, question_id = image_ids[missing[0]], question_ids[missing[0]]
    others = len({image_ids[at] for at in missing}) - 1
    mend = "add its features to the store, or leave out the questions about it"
    if len(store) and isinstance(image_id, str) != isinstance(store.image_ids[0], str):
        mend = "image ids are numbers in one file and text in the other: write them alike"
    raise DataError(
        f"the image of question {question_id!r} is not in the store" + (f", nor are {others} others" if others else ""),
        file=store.path,
        record=f"image {image_id!r}",
        mend=mend,
    )


def pooled_features(
    store: RegionStore, image_ids: Sequence[ImageId], progress: Progress | None = None
) -> NDArray[np.float32]:
    """Returns the mean region of each image, (n, D); zeros for an image without regions."""
    pooled = np.empty((len(image_ids), store.dim), np.float32)
    batch: RegionBatch | None = None
    for start in range(0, len(image_ids), _IMAGES):
        some = image_ids[start : start + _IMAGES]
        batch = store.read_batch(some, out=batch)
        # Padding is zero, so the sum over all is the sum over the regions.
        means = batch.features.sum(1) / batch.counts.clamp(min=1)[:, None]
        pooled[start : start + len(some)] = means.numpy()
        if progress is not None:
            progress(start + len(some), len(image_ids))
    return pooled


def standardised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gives every dimension mean 0 and variance 1, in place; constant ones become 0.

    Args:
        vectors: (n, D).

    Returns:
        The same array.
    """
    if not len(vectors):
        return vectors
    mean = vectors.mean(axis=0, dtype=np.float64)
    square = np.zeros_like(mean)
    blocks = range(0, len(vectors), 4096)  # a float64 copy of everything would treble the memory
    for start in blocks:
        square += ((vectors[start : start + 4096] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(square / len(vectors))
    varies = deviation > 1e-6 * np.abs(mean)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    for start in blocks:
        block = vectors[start : start + 4096]
        block[...] = (block - mean) * scale
    return vectors


def image_distances(
    store: RegionStore,
    images_a: Sequence[ImageId],
    images_b: Sequence[ImageId],
    metric: Metric,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Returns how far apart the images of P pairs are, (P,), by their standardised mean regions."""
    image_ids = list(dict.fromkeys([*images_a, *images_b]))
    place = {image_id: at for at, image_id in enumerate(image_ids)}
    vectors = standardised(pooled_features(store, image_ids, progress))
    distance = np.empty(len(images_a), np.float32)
    for start in range(0, len(images_a), 4096):
        some = slice(start, start + 4096)
        a = vectors[[place[image_id] for image_id in images_a[some]]].astype(np.float64)
        b = vectors[[place[image_id] for image_id in images_b[some]]].astype(np.float64)
        if metric == "euclidean":
            distance[some] = np.sqrt(((a - b) ** 2).mean(axis=1))
        else:
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            distance[some] = np.maximum(1 - (a * b).sum(axis=1) / np.where(norms > 0, norms, 1), 0)
    return distance


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
        box_weight: see :func:`vqa_gs.pair_builders.alignment.match_batch`.
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
