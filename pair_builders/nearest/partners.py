"""Partners within groups of equal questions: the nearest images whose answer differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Metric = Literal["cosine", "euclidean"]

# Distances in memory at a time (float64: 32 MB), whatever the size of a group.
_BLOCK = 1 << 22

# Distances below this part of the largest possible one are rounding errors of equal vectors.
_ZERO = 1e-12


class Edges(NamedTuple):
    """Candidate pairs of questions, E of them.

    Attributes:
        a: (E,) int64, the earlier question.
        b: (E,) int64, the later one.
        distance: (E,) float32.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distance: NDArray[np.float32]

    def take(self, which: NDArray[Any]) -> Edges:
        """Returns the pairs at some positions, or those that are True."""
        return Edges(self.a[which], self.b[which], self.distance[which])


_NONE = Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def nearest_partners(
    vectors: NDArray[np.float32],
    images: NDArray[np.int64],
    answers: NDArray[np.int64],
    partners: int,
    metric: Metric = "cosine",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds for each question of one group the nearest others with another image and another answer.

    Memory is (n, D) for the group and a block of distances, never n x n.

    Args:
        vectors: (M, D) standardised images.
        images: (n,) rows of ``vectors``.
        answers: (n,) codes.
        partners: k.
        metric: ``cosine``: 1 - cosine, 0..2; ``euclidean``: root mean square difference of the dimensions.

    Returns:
        (n, k) partners, nearest first, ties by their order, -1 where there are fewer; (n, k) distances.
    """
    count = len(images)
    wanted = min(partners, count)
    found = np.full((count, partners), -1, np.int64)
    distances = np.full((count, partners), np.nan, np.float32)
    # In float64 and then rounded to float32, so that equal distances come out equal wherever in a product
    # they are computed, and ties are ties.
    x = vectors[images].astype(np.float64)
    square = (x * x).sum(axis=1)
    if metric == "cosine":
        norm = np.sqrt(square)
        x /= np.where(norm > 0, norm, 1)[:, None]
    order = np.arange(count, dtype=np.int64)
    step = max(1, _BLOCK // count)
    for start in range(0, count, step):
        some = slice(start, start + step)
        product = x[some] @ x.T
        if metric == "cosine":
            distance = 1 - product
            distance[distance < _ZERO] = 0
        else:
            scale = square[some, None] + square[None, :]
            distance = scale - 2 * product
            distance[distance < _ZERO * scale] = 0
            distance = np.sqrt(distance / x.shape[1])
        distance[(answers[some, None] == answers) | (images[some, None] == images)] = np.inf
        # The bits of a float that is not negative sort as the float does; with the order below them, one
        # selection of whole numbers gives the nearest with ties broken by order.
        keys = distance.astype(np.float32).view(np.int32).astype(np.int64) << 32 | order
        if wanted < count:
            keys.partition(wanted - 1, axis=1)
        keys = np.sort(keys[:, :wanted], axis=1)
        near = (keys >> 32).astype(np.int32).view(np.float32)
        valid = np.isfinite(near)
        found[some, :wanted] = np.where(valid, keys & 0xFFFFFFFF, -1)
        distances[some, :wanted] = np.where(valid, near, np.nan)
    return found, distances


def split_groups(
    keys: NDArray[np.int64], max_group: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yields the positions of equal keys, groups above ``max_group`` dealt out at random into equal parts.

    Args:
        keys: (n,) sorted codes.
        max_group: the most members of a part.
        generator: what deals.
    """
    bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    for start, end in pairwise(bounds.tolist()):
        members = np.arange(start, end, dtype=np.int64)
        parts = -(-len(members) // max_group)
        if parts == 1:
            yield members
            continue
        for part in np.array_split(generator.permutation(members), parts):
            yield np.sort(part)


def unique_edges(parts: Sequence[Edges]) -> Edges:
    """Joins pairs, each unordered one once: nearest first, ties by the earlier and then the later question."""
    a, b, distance = (np.concatenate(columns) for columns in zip(_NONE, *parts, strict=True))
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((distance, high, low))
    low, high, distance = low[order], high[order], distance[order]
    new = np.ones(len(low), bool)
    new[1:] = (np.diff(low) != 0) | (np.diff(high) != 0)
    low, high, distance = low[new], high[new], distance[new]
    order = np.lexsort((high, low, distance))
    return Edges(low[order], high[order], distance[order])


def at_most(edges: Edges, questions: int, partners: int) -> NDArray[np.int64]:
    """Takes pairs from the front as long as neither question has its number of partners yet.

    Args:
        edges: nearest first.
        questions: n.
        partners: the most pairs a question is in.

    Returns:
        The positions of the pairs taken, rising.
    """
    used = [0] * questions
    taken = []
    for at, (a, b) in enumerate(zip(edges.a.tolist(), edges.b.tolist(), strict=True)):
        if used[a] < partners and used[b] < partners:
            used[a] += 1
            used[b] += a != b  # a masked pair has one question at both ends
            taken.append(at)
    return np.array(taken, np.int64)
