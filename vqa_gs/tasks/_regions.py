"""What tasks on region features share."""

from __future__ import annotations

import numpy as np
import torch

from features.layout import ImageId
from features.store import RegionStore


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
