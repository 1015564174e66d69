"""Images by their mean region, and how far apart two of them are."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.nearest.partners import Metric
from vqa_gs.pair_builders.sources import Progress

from vqa_gs.common.errors import DataError
from vqa_gs.common.phases import phase
from vqa_gs.data.questions import ImageId

# Mean regions of more bytes stand in a file that is mapped into memory: a million images of 2048 numbers are 8 GB.
_IN_MEMORY = 2 << 30
# Images in memory at a time: of 36 x 2048 regions 38 MB.
_IMAGES = 128
# Mean regions that are widened to float64 at a time.
_TOGETHER = 4096


def pooled_features(
    store: RegionStore, image_ids: Sequence[ImageId], progress: Progress | None = None
) -> NDArray[np.float32]:
    """Returns the mean region of each image, (n, D); zeros for an image without regions.

    Beyond two GB they are memory-mapped, see `room`.

    Raises:
        DataError: an image is not in the store, or there is no room for the mapped file.
    """
    pooled = room(len(image_ids), store.dim)
    batch: RegionBatch | None = None
    with phase("reading the mean region of each image", len(image_ids), "images") as far:
        for start in range(0, len(image_ids), _IMAGES):
            some = image_ids[start : start + _IMAGES]
            batch = store.read_batch(some, out=batch)
            # Padding is zero, so the sum over all is the sum over the regions.
            means = batch.features.sum(1) / batch.counts.clamp(min=1)[:, None]
            pooled[start : start + len(some)] = means.numpy()
            if start // _IMAGES % 64 == 63:
                release(pooled)
            far(len(some))
            if progress is not None:
                progress(start + len(some), len(image_ids))
    return pooled


def room(count: int, dim: int) -> NDArray[np.float32]:
    """Returns an array (count, dim) to be filled: in memory, or mapped from a file if it is large.

    The file lies where temporary files do (``TMPDIR``) and has no name any more, so that nothing is left of it however
    the program ends.

    Raises:
        DataError: there is no room for the file.
    """
    size = 4 * count * dim
    if size <= _IN_MEMORY:
        return np.empty((count, dim), np.float32)
    with tempfile.TemporaryFile(prefix="vqa-gs-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a mapped file that cannot grow would end the program
        except OSError as error:
            raise DataError(
                f"no room for the mean regions of {count:,} images, {size / 1e9:.1f} GB: {error.strerror}",
                file=tempfile.gettempdir(),
                mend="name a folder on a larger disk in TMPDIR",
            ) from error
        return np.memmap(file, np.float32, "r+", shape=(count, dim))


def release(vectors: NDArray[np.float32]) -> None:
    """Gives the memory of a mapped array back; what it holds stays in its file."""
    mapped = getattr(vectors, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def standardised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gives every dimension mean 0 and variance 1, in place; constant ones become 0.

    Args:
        vectors: (n, D).

    Returns:
        The same array.
    """
    if not len(vectors):
        return vectors
    blocks = range(0, len(vectors), _TOGETHER)  # a float64 copy of everything would treble the memory
    if isinstance(vectors, np.memmap):
        mean = np.zeros(vectors.shape[1])
        for start in blocks:
            mean += vectors[start : start + _TOGETHER].sum(axis=0, dtype=np.float64)
            release(vectors)
        mean /= len(vectors)
    else:
        mean = vectors.mean(axis=0, dtype=np.float64)
    square = np.zeros_like(mean)
    for start in blocks:
        release(vectors)
        square += ((vectors[start : start + _TOGETHER] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(square / len(vectors))
    varies = deviation > 1e-6 * np.abs(mean)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    for start in blocks:
        block = vectors[start : start + _TOGETHER]
        block[...] = (block - mean) * scale
        release(vectors)
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
    a, b = (np.array([place[image_id] for image_id in images], np.int64) for images in (images_a, images_b))
    return distances(vectors, a, b, metric)


def distances(
    vectors: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64], metric: Metric = "cosine"
) -> NDArray[np.float32]:
    """Returns the distances (E,) of pairs of images, in the measure of `search.nearest_images`."""
    found = np.empty(len(a), np.float32)
    for start in range(0, len(a), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        one, other = vectors[a[some]].astype(np.float64), vectors[b[some]].astype(np.float64)
        if metric == "euclidean":
            found[some] = np.sqrt(((one - other) ** 2).mean(axis=1))
        else:
            norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            found[some] = np.maximum(1 - (one * other).sum(axis=1) / np.where(norms > 0, norms, 1), 0)
    return found
