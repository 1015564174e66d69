"""The nearest images of each image, among a million.

Few images are compared all with all. Else the search is approximate, over reduced vectors, and exactly ranked again:
the vectors are reduced to their main components, put into cells around centres (faiss, inverted lists), and each image
looks into the cells nearest to it. What it finds there is ranked by the distance of the whole vectors. Cells hold a
fixed number of images on average, so the work grows with n, but for finding the nearest centres.

Of very many images the centres are found in two steps, as their number grows with n, and images are looked up cell by
cell: neighbours stand together, so that few rows of the whole vectors, which may be memory-mapped, are read at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.nearest.images import release
from vqa_gs.pair_builders.nearest.partners import Metric

from vqa_gs.common.phases import phase

# Below so many images the whole matrix of distances takes seconds.
_EXACT = 8192
# From so many on, centres in two steps and fewer cells an image.
_MANY = 200_000
_CELL = 256
_PROBES, _PROBES_OF_MANY = 96, 32
_DIMENSIONS = 256
_SAMPLE = 16384
# Candidates that are ranked again, for each neighbour wanted.
_CANDIDATES, _CANDIDATES_OF_MANY = 6, 3
_BLOCK = 256 << 20
_ROWS = 4096
# Of k-means: passes, and images a centre is found with.
_PASSES, _POINTS = 8, 64


def nearest_images(
    vectors: NDArray[np.float32], neighbours: int, metric: Metric = "cosine", exact: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds the nearest other images of each image.

    Args:
        vectors: (M, D) standardised images. A memory-mapped array is brought to length 1 in place for ``cosine``.
        neighbours: k.
        metric: ``cosine``: 1 - cosine; ``euclidean``: root mean square difference of the dimensions.
        exact: compare everything with everything.

    Returns:
        (M, k) images, nearest first, -1 where there are fewer; (M, k) distances, NaN there.
    """
    count = len(vectors)
    found = np.full((count, neighbours), -1, np.int64)
    distances = np.full((count, neighbours), np.nan, np.float32)
    if count == 0:
        return found, distances
    whole = _of_length_one(vectors) if metric == "cosine" else np.ascontiguousarray(vectors, np.float32)
    square = _square(whole)
    wanted = min(neighbours + 1, count)
    if exact or count <= _EXACT or count < _MANY:
        with phase(f"searching the nearest of {count:,} images"):
            candidates = _all(whole, wanted) if exact or count <= _EXACT else _in_cells(_reduced(whole), wanted)
        rows, order = _step(whole, candidates.shape[1]), np.arange(count)
        lookup: Any = candidates.__getitem__
        told = "ranking the nearest images"
    else:
        with phase(f"putting {count:,} images into cells"):
            reduced = _reduced(whole)
            index, order = _cells(reduced)
        most = min(_CANDIDATES_OF_MANY * wanted, count)
        rows, told = _step(whole, most), f"searching the nearest of {count:,} images"

        def lookup(own: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.asarray(index.search(np.ascontiguousarray(reduced[own]), most)[1], np.int64)

    with phase(told, count, "images") as far:
        for start in range(0, count, rows):
            own = order[start : start + rows]
            near, distance = _ranked(whole, square, own, lookup(own), neighbours, metric)
            found[own, : near.shape[1]], distances[own, : near.shape[1]] = near, distance
            release(whole)
            far(len(own))
    return found, distances


def _of_length_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if isinstance(vectors, np.memmap):
        for start in range(0, len(vectors), _ROWS):
            block = vectors[start : start + _ROWS]
            norm = np.linalg.norm(block, axis=1, keepdims=True)
            block /= np.where(norm > 0, norm, np.float32(1))
            release(vectors)
        return vectors
    whole = np.ascontiguousarray(vectors, np.float32)
    norm = np.linalg.norm(whole, axis=1, keepdims=True)
    return np.asarray(whole / np.where(norm > 0, norm, np.float32(1)), np.float32)


def _square(whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the squared length of each row, (n,)."""
    square = np.empty(len(whole), np.float32)
    for start in range(0, len(whole), _ROWS):
        block = whole[start : start + _ROWS]
        square[start : start + _ROWS] = np.einsum("nd,nd->n", block, block)
        release(whole)
    return square


def _step(whole: NDArray[np.float32], candidates: int) -> int:
    """Returns how many images are ranked together."""
    return max(1, _BLOCK // (4 * whole.shape[1] * candidates))


def _all(whole: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Compares all with all: (n, candidates)."""
    import faiss  # here, as listing a builder's options needs none of it

    index: Any = faiss.IndexFlatL2(whole.shape[1])
    index.add(whole)
    return np.asarray(index.search(whole, min(wanted + 8, len(whole)))[1], np.int64)


def _reduced(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Projects onto the main components of an even sample."""
    count, dim = vectors.shape
    if dim <= 2 * _DIMENSIONS:
        return vectors
    sample = np.asarray(vectors[:: -(-count // _SAMPLE)])
    mean = sample.mean(axis=0)
    centred = sample - mean
    components = np.linalg.eigh(centred.T @ centred)[1][:, -_DIMENSIONS:]
    axes: NDArray[np.float32] = np.ascontiguousarray(components, np.float32)
    if not isinstance(vectors, np.memmap):
        return vectors @ axes - mean @ axes
    reduced = np.empty((count, _DIMENSIONS), np.float32)
    for start in range(0, count, _ROWS):
        reduced[start : start + _ROWS] = vectors[start : start + _ROWS] @ axes - mean @ axes
        release(vectors)
    return reduced


def _in_cells(vectors: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Looks into the nearest cells of each image: (n, candidates), -1 where there are fewer."""
    import faiss

    count, dim = vectors.shape
    cells = count // _CELL
    quantizer = faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFFlat(quantizer, dim, cells)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 1, _PASSES, _POINTS
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(_PROBES, cells)
    return np.asarray(index.search(vectors, min(_CANDIDATES * wanted, count))[1], np.int64)


def _cells(vectors: NDArray[np.float32]) -> tuple[Any, NDArray[np.int64]]:
    """Puts many images into cells; returns the index, and the images in the order of their cells."""
    import faiss

    centres = _centres(vectors, max(1, len(vectors) // _CELL))
    quantizer = faiss.IndexFlatL2(vectors.shape[1])
    quantizer.add(centres)
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], len(centres))
    index.train(vectors[:1])  # the centres are there
    index.add(vectors)
    index.nprobe = min(_PROBES_OF_MANY, len(centres))
    lists = index.invlists
    sizes = [lists.list_size(cell) for cell in range(len(centres))]
    images = [faiss.rev_swig_ptr(lists.get_ids(cell), size).copy() for cell, size in enumerate(sizes) if size]
    return index, np.concatenate(images).astype(np.int64)


def _centres(vectors: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Finds about so many centres in two steps, regions of cells and cells in them: n log n, where one step has n^2."""
    sample = np.ascontiguousarray(vectors[:: max(1, len(vectors) // (cells * _POINTS))])
    first = _means(sample, max(1, round(cells**0.5)))
    import faiss

    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(first)
    region = index.search(sample, 1)[1][:, 0]
    parts = []
    for at in range(len(first)):
        inside = sample[region == at]
        if len(inside):
            parts.append(_means(inside, max(1, round(len(inside) * cells / len(sample)))))
    return np.concatenate(parts)


def _means(sample: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    import faiss

    if count >= len(sample):
        return sample
    means = faiss.Kmeans(
        sample.shape[1], count, seed=1, niter=_PASSES, min_points_per_centroid=1, max_points_per_centroid=_POINTS * 16
    )
    means.train(sample)
    return np.asarray(means.centroids, np.float32)


def _ranked(
    whole: NDArray[np.float32],
    square: NDArray[np.float32],
    own: NDArray[np.int64],
    some: NDArray[np.int64],
    neighbours: int,
    metric: Metric,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ranks the candidates of some images by exact distance, ties by their number, without the image itself.

    Args:
        whole: (M, D) images.
        square: (M,) their squared lengths.
        own: (n,) images.
        some: (n, c) candidates of each, -1 for none.
        neighbours: k.
        metric: of the distance.

    Returns:
        (n, at most k) images, nearest first, -1 where there are fewer; their distances, NaN there.
    """
    missing = (some < 0) | (some == own[:, None])
    some = np.where(missing, 0, some)
    if isinstance(whole, np.memmap):  # each row is read once
        rows, at = np.unique(np.concatenate([own, some.ravel()]), return_inverse=True)
        read = np.asarray(whole[rows])
        product = np.matmul(read[at[len(own) :].reshape(some.shape)], read[at[: len(own)]][:, :, None])[:, :, 0]
    else:
        product = np.matmul(whole[some], whole[own][:, :, None])[:, :, 0]
    if metric == "cosine":
        distance = np.maximum(1 - product, 0)
    else:
        distance = np.sqrt(np.maximum(square[own, None] + square[some] - 2 * product, 0) / whole.shape[1])
    distance = np.where(missing, np.inf, distance).astype(np.float32)
    order = np.lexsort((some, distance), axis=1)[:, :neighbours]
    near = np.take_along_axis(distance, order, axis=1)
    there = np.isfinite(near)
    return np.where(there, np.take_along_axis(some, order, axis=1), -1), np.where(there, near, np.nan)
