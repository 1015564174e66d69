"""Regions of many images: their statistics, and batches of them read ahead."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pipeline.image_plan import Parts, image_codes
from vqa_gs.pipeline.read_ahead import BUFFERS, read_ahead
from vqa_gs.seen import Sharing, runs


def region_statistics(
    store: RegionStore, image_ids: list[ImageId], images: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of every feature dimension over the regions of some training images.

    Args:
        store: the region store.
        image_ids: training images; repeated ones count once.
        images: how many of them are drawn at the most.
        seed: seed of the draw.

    Returns:
        mean (dim,) and standard deviation (dim,), float32.
    """
    distinct = list(dict.fromkeys(image_ids))
    order = np.random.default_rng([seed, 77]).permutation(len(distinct))[:images]
    total = torch.zeros(store.dim, dtype=torch.float64)
    squares, count, batch = torch.zeros_like(total), 0, None
    for start in range(0, len(order), 256):
        batch = store.read_batch([distinct[row] for row in order[start : start + 256]], out=batch)
        regions = batch.features[batch.mask].double().cpu()
        total += regions.sum(0)
        squares += (regions * regions).sum(0)
        count += len(regions)
    mean = total / count
    return mean.float(), (squares / count - mean * mean).clamp_min(0).sqrt().float()


def image_batches(
    image_ids: Sequence[ImageId], store: RegionStore, batch_size: int, rank: int, world: int
) -> Generator[tuple[NDArray[np.int64], RegionBatch], None, None]:
    """Yields rows and regions of images in order; of several processes, each gets a share of them."""

    def make(number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows = np.arange(number * batch_size, min(len(image_ids), (number + 1) * batch_size))
        return rows, rows

    batches = -(-len(image_ids) // batch_size)
    return _read(make, batches, image_ids, store, rank, world)


class SharedRows:
    """Which rows a batch has where those of one image stand together; every row comes once.

    Args:
        image_ids: (n,) the image of each row.
        batch_size: rows of a batch, about.
        most: rows that share an image, at the most.

    Attributes:
        batches: how many there are.
    """

    def __init__(self, image_ids: Sequence[ImageId], batch_size: int, most: int) -> None:
        self._codes = image_codes(image_ids)
        self.batches = -(-len(self._codes) // batch_size)
        most = max(1, min(most, len(self._codes) // max(1, self.batches)))
        parts = Parts.of(self._codes, np.arange(len(self._codes)), most)
        self._rows, self._bounds = parts.examples, parts.first[parts.cut(self.batches)]

    def rows(self, number: int) -> NDArray[np.int64]:
        """Returns the rows of a batch."""
        rows: NDArray[np.int64] = self._rows[self._bounds[number] : self._bounds[number + 1]]
        return rows

    def shown(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Sharing]:
        """Returns a row of each image that a batch's rows are about, and which of them share which."""
        first, counts = runs(self._codes[rows])
        return rows[first], Sharing.of_counts(counts)


def shared_batches(
    plan: SharedRows, image_ids: Sequence[ImageId], store: RegionStore, rank: int, world: int
) -> Generator[tuple[NDArray[np.int64], RegionBatch, Sharing], None, None]:
    """Yields rows, the regions of the images they are about, and which rows share which.

    Args:
        plan: which rows a batch has.
        image_ids: (n,) the image of each row.
        store: the region store.
        rank: which process this is.
        world: of how many, to which batches are dealt out in turn.
    """

    def make(number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows = plan.rows(number)
        return rows, plan.shown(rows)[0]

    with closing(_read(make, plan.batches, image_ids, store, rank, world)) as read:
        for rows, regions in read:
            yield rows, regions, plan.shown(rows)[1]


def _read(
    make: Callable[[int], tuple[NDArray[np.int64], NDArray[np.int64]]],
    batches: int,
    image_ids: Sequence[ImageId],
    store: RegionStore,
    rank: int,
    world: int,
) -> Generator[tuple[NDArray[np.int64], RegionBatch], None, None]:
    """Yields the rows of this process's batches and the regions of some of them; ``make`` says which, by number."""
    buffers: list[RegionBatch | None] = [None] * BUFFERS

    def read(number: int) -> tuple[NDArray[np.int64], RegionBatch]:
        rows, shown = make(number)
        slot = number // world % BUFFERS
        buffers[slot] = batch = store.read_batch([image_ids[row] for row in shown.tolist()], out=buffers[slot])
        return rows, batch

    return read_ahead(read, range(rank, batches, world))
