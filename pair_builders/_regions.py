"""What builders read from a region store, streamed in batches: pooled images, and alignment rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.geometry import normalized_boxes
from features.store import RegionBatch, RegionStore
from pair_builders.alignment import match_regions, sparse_rows
from pair_builders.base import Progress
from pair_builders.table import QuestionId
from vqa_gs.common.errors import DataError

ImageId = int | str

# Images in memory at a time: of 36 x 2048 regions 38 MB.
_IMAGES = 128


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


def aligned_rows(
    store: RegionStore,
    images_a: Sequence[ImageId],
    images_b: Sequence[ImageId],
    *,
    box_weight: float,
    sparse_regions: Sequence[int] | None = None,
    keep_b: Sequence[NDArray[np.bool_] | None] | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.int32]]:
    """Matches the regions of P pairs of images.

    Args:
        store: the store.
        images_a: P images.
        images_b: P images.
        box_weight: see :func:`pair_builders.alignment.match_regions`.
        sparse_regions: how many rows of each pair to keep, 0 for all of them; None: all of all.
        keep_b: which regions of b's image remain, (R,), or None for all.
        progress: called with the pairs done.

    Returns:
        P arrays (S_p, 2).

    Raises:
        DataError: a mask does not fit its image, or features or boxes are not finite.
    """
    rows: list[NDArray[np.int32]] = []
    batch: RegionBatch | None = None
    step = _IMAGES // 2
    for start in range(0, len(images_a), step):
        pairs = range(start, min(start + step, len(images_a)))
        # Neighbouring pairs share images: each is read once.
        places: dict[ImageId, int] = {}
        for pair in pairs:
            places.setdefault(images_a[pair], len(places))
            places.setdefault(images_b[pair], len(places))
        batch = store.read_batch(list(places), out=batch)
        features, counts = batch.features.numpy(), batch.counts.tolist()
        boxes = normalized_boxes(batch.boxes.numpy(), batch.sizes.numpy())
        for pair in pairs:
            a, b = places[images_a[pair]], places[images_b[pair]]
            features_a, features_b = features[a, : counts[a]], features[b, : counts[b]]
            boxes_a, boxes_b = boxes[a, : counts[a]], boxes[b, : counts[b]]
            kept = None if keep_b is None else keep_b[pair]
            if kept is not None:
                if len(kept) != counts[b]:
                    raise DataError(
                        f"a mask has {len(kept)} entries, but the image {counts[b]} regions",
                        file=store.path,
                        record=f"image {images_b[pair]!r}",
                        mend="make the masked pairs with this store",
                    )
                features_b, boxes_b = features_b[kept], boxes_b[kept]
            try:
                matched = match_regions(features_a, features_b, boxes_a, boxes_b, box_weight)
            except DataError as error:
                record = f"images {images_a[pair]!r}, {images_b[pair]!r}"
                raise DataError(error.problem, file=store.path, record=record) from error
            if sparse_regions is not None and sparse_regions[pair]:
                matched = sparse_rows(matched, features_a, features_b, sparse_regions[pair])
            if kept is not None:
                present = matched[:, 1] >= 0
                matched[present, 1] = np.flatnonzero(kept)[matched[present, 1]]
            rows.append(matched)
        if progress is not None:
            progress(pairs.stop, len(images_a))
    return rows
