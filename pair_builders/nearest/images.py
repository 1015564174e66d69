"""Images by their mean region: their distances, and near-duplicates among a hundred thousand.

The search is approximate, over reduced vectors, and exactly ranked again.
The vectors are reduced to their main components, put into cells around centres (faiss, inverted lists), and each image
looks into the cells nearest to it. What it finds there is ranked by the distance of the whole vectors. Cells hold a
fixed number of images on average, so the work grows with n, but for finding the nearest centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.nearest.partners import Metric
from vqa_gs.pair_builders.sources import Progress

from vqa_gs.common.phases import phase
from vqa_gs.data.questions import ImageId

# Below so many images the whole matrix of distances takes seconds.
_EXACT = 8192
_CELL = 256
_PROBES = 96
_DIMENSIONS = 256
_SAMPLE = 16384
# Candidates that are ranked again, for each neighbour wanted.
_CANDIDATES = 6
_BLOCK = 256 << 20

# Images in memory at a time: of 36 x 2048 regions 38 MB.
_IMAGES = 128
# Mean regions that are widened to float64 at a time.
_TOGETHER = 4096


def pooled_features(
    store: RegionStore, image_ids: Sequence[ImageId], progress: Progress | None = None
) -> NDArray[np.float32]:
    """Returns the mean region of each image, (n, D); zeros for an image without regions."""
    pooled = np.empty((len(image_ids), store.dim), np.float32)
    batch: RegionBatch | None = None
    with phase("reading the mean region of each image", len(image_ids), "images") as far:
        for start in range(0, len(image_ids), _IMAGES):
            some = image_ids[start : start + _IMAGES]
            batch = store.read_batch(some, out=batch)
            # Padding is zero, so the sum over all is the sum over the regions.
            means = batch.features.sum(1) / batch.counts.clamp(min=1)[:, None]
            pooled[start : start + len(some)] = means.numpy()
            far(len(some))
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
    blocks = range(0, len(vectors), _TOGETHER)  # a float64 copy of everything would treble the memory
    for start in blocks:
        square += ((vectors[start : start + _TOGETHER] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(square / len(vectors))
    varies = deviation > 1e-6 * np.abs(mean)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    for start in blocks:
        block = vectors[start : start + _TOGETHER]
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
    a, b = (np.array([place[image_id] for image_id in images], np.int64) for images in (images_a, images_b))
    return distances(vectors, a, b, metric)


def distances(
    vectors: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64], metric: Metric = "cosine"
) -> NDArray[np.float32]:
    """Returns the distances (E,) of pairs of images, in the measure of :func:`nearest_images`."""
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


def nearest_images(
    vectors: NDArray[np.float32], neighbours: int, metric: Metric = "cosine", exact: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds the nearest other images of each image.

    Args:
        vectors: (M, D) standardised images.
        neighbours: k.
        metric: ``cosine``: 1 - cosine; ``euclidean``: root mean square difference of the dimensions.
        exact: compare everything with everything.

    Returns:
        (M, k) images, nearest first, -1 where there are fewer; (M, k) distances, NaN there.
    """
    import faiss  # here, as listing a builder's options needs none of it

    count, dim = vectors.shape
    if count == 0:
        return np.zeros((0, neighbours), np.int64), np.zeros((0, neighbours), np.float32)
    whole = np.ascontiguousarray(vectors, np.float32)
    if metric == "cosine":
        norm = np.linalg.norm(whole, axis=1, keepdims=True)
        whole = whole / np.where(norm > 0, norm, np.float32(1))
    wanted = min(neighbours + 1, count)
    with phase(f"searching the nearest of {count:,} images"):
        if exact or count <= _EXACT:
            index: Any = faiss.IndexFlatL2(dim)
            index.add(whole)
            candidates = index.search(whole, min(wanted + 8, count))[1]
        else:
            candidates = _search(_reduced(whole), min(_CANDIDATES * wanted, count))
    return _ranked(whole, candidates, neighbours, metric)


def _reduced(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Projects onto the main components of an even sample."""
    count, dim = vectors.shape
    if dim <= 2 * _DIMENSIONS:
        return vectors
    sample = vectors[:: -(-count // _SAMPLE)]
    mean = sample.mean(axis=0)
    centred = sample - mean
    components = np.linalg.eigh(centred.T @ centred)[1][:, -_DIMENSIONS:]
    axes: NDArray[np.float32] = np.ascontiguousarray(components, np.float32)
    return vectors @ axes - mean @ axes


def _search(vectors: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    import faiss

    count, dim = vectors.shape
    cells = count // _CELL
    quantizer = faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFFlat(quantizer, dim, cells)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 1, 8, 64
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(_PROBES, cells)
    return np.asarray(index.search(vectors, wanted)[1], np.int64)


def _ranked(
    vectors: NDArray[np.float32], candidates: NDArray[np.int64], neighbours: int, metric: Metric
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ranks candidates by exact distance, ties by their number, without the image itself."""
    count, dim = vectors.shape
    found = np.full((count, neighbours), -1, np.int64)
    distances = np.full((count, neighbours), np.nan, np.float32)
    step = max(1, _BLOCK // (4 * dim * candidates.shape[1]))
    square = np.einsum("nd,nd->n", vectors, vectors)
    with phase("ranking the nearest images", count, "images") as far:
        for start in range(0, count, step):
            own = np.arange(start, min(start + step, count))
            some = candidates[own]
            missing = (some < 0) | (some == own[:, None])
            some = np.where(missing, 0, some)
            product = np.matmul(vectors[some], vectors[own][:, :, None])[:, :, 0]
            if metric == "cosine":
                distance = np.maximum(1 - product, 0)
            else:
                distance = np.sqrt(np.maximum(square[own, None] + square[some] - 2 * product, 0) / dim)
            distance = np.where(missing, np.inf, distance).astype(np.float32)
            order = np.lexsort((some, distance), axis=1)[:, :neighbours]
            near = np.take_along_axis(distance, order, axis=1)
            there = np.isfinite(near)
            found[own, : order.shape[1]] = np.where(there, np.take_along_axis(some, order, axis=1), -1)
            distances[own, : order.shape[1]] = np.where(there, near, np.nan)
            far(len(own))
    return found, distances
