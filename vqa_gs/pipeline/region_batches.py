"""Regions of many images: their statistics, and batches of them read ahead."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pipeline.read_ahead import BUFFERS, read_ahead


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
        regions = batch.features[batch.mask].double()
        total += regions.sum(0)
        squares += (regions * regions).sum(0)
        count += len(regions)
    mean = total / count
    return mean.float(), (squares / count - mean * mean).clamp_min(0).sqrt().float()


def image_batches(
    image_ids: Sequence[ImageId], store: RegionStore, batch_size: int, rank: int, world: int
) -> Generator[tuple[NDArray[np.int64], RegionBatch], None, None]:
    """Yields rows and regions of images in order; of several processes, each gets a share of them."""
    buffers: list[RegionBatch | None] = [None] * BUFFERS

    def make(number: int) -> tuple[NDArray[np.int64], RegionBatch]:
        rows = np.arange(number * batch_size, min(len(image_ids), (number + 1) * batch_size))
        slot = number // world % BUFFERS
        buffers[slot] = batch = store.read_batch([image_ids[row] for row in rows.tolist()], out=buffers[slot])
        return rows, batch

    return read_ahead(make, range(rank, -(-len(image_ids) // batch_size), world))
