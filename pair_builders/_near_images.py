"""Near-duplicate images among a hundred thousand: approximate search over reduced vectors, exactly ranked again.

The vectors are reduced to their main components, put into cells around centres (faiss, inverted lists), and each image
looks into the cells nearest to it. What it finds there is ranked by the distance of the whole vectors. Cells hold a
fixed number of images on average, so the work grows with n, but for finding the nearest centres.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders._nearest import Metric

# Below so many images the whole matrix of distances takes seconds.
_EXACT = 8192
_CELL = 256
_PROBES = 96
_DIMENSIONS = 256
_SAMPLE = 16384
# Candidates that are ranked again, for each neighbour wanted.
_CANDIDATES = 6
_BLOCK = 256 << 20


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
    count, dim = vectors.shape
    if count == 0:
        return np.zeros((0, neighbours), np.int64), np.zeros((0, neighbours), np.float32)
    whole = np.ascontiguousarray(vectors, np.float32)
    if metric == "cosine":
        norm = np.linalg.norm(whole, axis=1, keepdims=True)
        whole = whole / np.where(norm > 0, norm, np.float32(1))
    wanted = min(neighbours + 1, count)
    if exact or count <= _EXACT:
        index: Any = faiss.IndexFlatL2(dim)
        index.add(whole)
        candidates = index.search(whole, min(wanted + 8, count))[1]
    else:
        candidates = _search(_reduced(whole), min(_CANDIDATES * wanted, count))
    return _ranked(whole, candidates, neighbours, metric)


def distances(
    vectors: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64], metric: Metric = "cosine"
) -> NDArray[np.float32]:
    """Returns the distances (E,) of pairs of images, in the measure of :func:`nearest_images`."""
    found = np.empty(len(a), np.float32)
    for start in range(0, len(a), _SAMPLE):
        one, other = vectors[a[start : start + _SAMPLE]], vectors[b[start : start + _SAMPLE]]
        if metric == "cosine":
            norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            cosine = np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)
            found[start : start + _SAMPLE] = np.maximum(1 - cosine, 0)
        else:
            found[start : start + _SAMPLE] = np.sqrt(np.square(one - other).mean(axis=1))
    return found


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
    return found, distances
