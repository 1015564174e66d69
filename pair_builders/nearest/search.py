"""The nearest images of each image, among a million.

Few images are compared all with all. Else the search is approximate, over reduced vectors, and exactly ranked again:
the vectors are reduced to their main components, a byte each, and linked to a graph of near ones (faiss, HNSW: Malkov
and Yashunin, TPAMI 2020), in which each image walks towards its neighbours. What it finds is ranked by the distance
of the whole vectors, which may be memory-mapped: some rows are read at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.nearest.images import release
from vqa_gs.pair_builders.nearest.partners import Metric

from vqa_gs.common.phases import phase

Lookup = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""From some images to their candidates, (n, most), -1 where there are fewer."""

# Below so many images the whole matrix of distances takes seconds.
_EXACT = 8192
# Links of an image in the graph, and how many candidates are kept while it is built and searched.
_LINKS, _BUILT, _SEARCHED = 24, 64, 96
_DIMENSIONS = 256
_SAMPLE = 16384
# Candidates that are ranked again, for each neighbour wanted.
_CANDIDATES = 3
_BLOCK = 256 << 20
_ROWS = 4096


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
    square = _square(whole) if metric == "euclidean" else None
    wanted = min(neighbours + 1, count)
    if exact or count <= _EXACT:
        with phase(f"comparing {count:,} images"):
            lookup, most = _all(whole, min(wanted + 8, count)), min(wanted + 8, count)
    else:
        lookup, most = _linked(whole, wanted)
    rows = max(1, _BLOCK // (4 * whole.shape[1] * most))
    with phase(f"searching the nearest of {count:,} images", count, "images") as far:
        for start in range(0, count, rows):
            own = np.arange(start, min(start + rows, count))
            near, distance = _ranked(whole, square, own, lookup(own), neighbours)
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


def _all(whole: NDArray[np.float32], most: int) -> Lookup:
    """Compares all with all."""
    import faiss  # here, as listing a builder's options needs none of it

    index: Any = faiss.IndexFlatL2(whole.shape[1])
    index.add(whole)
    return np.asarray(index.search(whole, most)[1], np.int64).__getitem__


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


def _linked(whole: NDArray[np.float32], wanted: int) -> tuple[Lookup, int]:
    """Links images to their near ones; returns how to ask for candidates, and how many there are of each image."""
    import faiss

    count = len(whole)
    with phase(f"linking {count:,} images", count, "images") as far:
        reduced = _reduced(whole)
        # A byte a number: a quarter of the memory that walks read. What is found is ranked by the whole vectors.
        one_byte: Any = faiss.ScalarQuantizer.QT_8bit  # faiss's types have the class here, not its constants
        index = faiss.IndexHNSWSQ(reduced.shape[1], one_byte, _LINKS)
        index.hnsw.efConstruction = _BUILT
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # threads would link in the order in which they come, each time another one
        try:
            index.train(np.ascontiguousarray(reduced[:: -(-count // _SAMPLE)]))  # the range of each number
            for start in range(0, count, _ROWS):
                index.add(np.ascontiguousarray(reduced[start : start + _ROWS]))
                far(len(reduced[start : start + _ROWS]))
        finally:
            faiss.omp_set_num_threads(threads)
    most = min(_CANDIDATES * wanted, count)
    index.hnsw.efSearch = max(_SEARCHED, 2 * most)

    def lookup(own: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(index.search(np.ascontiguousarray(reduced[own]), most)[1], np.int64)

    return lookup, most


def _ranked(
    whole: NDArray[np.float32],
    square: NDArray[np.float32] | None,
    own: NDArray[np.int64],
    some: NDArray[np.int64],
    neighbours: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ranks the candidates of some images by exact distance, ties by their number, without the image itself.

    Args:
        whole: (M, D) images.
        square: (M,) their squared lengths; None where ``cosine`` needs none.
        own: (n,) images.
        some: (n, c) candidates of each, -1 for none.
        neighbours: k.

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
    if square is None:
        distance = np.maximum(1 - product, 0)
    else:
        distance = np.sqrt(np.maximum(square[own, None] + square[some] - 2 * product, 0) / whole.shape[1])
    distance = np.where(missing, np.inf, distance).astype(np.float32)
    order = np.lexsort((some, distance), axis=1)[:, :neighbours]
    near = np.take_along_axis(distance, order, axis=1)
    there = np.isfinite(near)
    return np.where(there, np.take_along_axis(some, order, axis=1), -1), np.where(there, near, np.nan)
