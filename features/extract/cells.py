"""Grids of features that a network gives an image: boxes read off them, their cells as regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

BINS = 3
SAMPLES = 2


def read_off(levels: Sequence[torch.Tensor], width: int, boxes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Returns the features of boxes: each level RoI-aligned over a box and averaged, the levels one after the other.

    Args:
        levels: (B, C, h, w) each.
        width: of the network's input in pixels.
        boxes: B tensors (n, 4) in these pixels.

    Returns:
        (T, sum of C).
    """
    from torchvision.ops import roi_align

    parts = []
    for level in levels:
        scale = level.shape[-1] / width
        bins = roi_align(level.contiguous(), list(boxes), BINS, scale, sampling_ratio=SAMPLES, aligned=True)
        parts.append(bins.mean((2, 3)))
    return torch.cat(parts, 1)


def within(grid: torch.Tensor, extent: tuple[int, int], stride: float) -> torch.Tensor:
    """Returns the cells (C, h, w) of a grid that are not padding alone."""
    rows, columns = (math.ceil(side / stride) for side in extent)
    return grid[:, :rows, :columns]


def mean_cell(grid: torch.Tensor, extent: tuple[int, int], stride: float) -> torch.Tensor:
    """Returns the mean (C,) of the cells of a grid that are not padding alone."""
    return within(grid, extent, stride).mean((1, 2))


def cells_of(
    grid: torch.Tensor,
    extent: tuple[int, int],
    stride: float,
    pool: tuple[int, int] | None = None,
    whole: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, Mapping[str, np.ndarray]]:
    """Returns the cells of one image's grid as regions, row by row.

    Args:
        grid: (C, rows, columns) over the padded image.
        extent: height and width of what is not padding.
        stride: pixels a cell.
        pool: rows and columns to average them to; None: as they are.
        whole: (C,) features of the whole image, which then is the last region.

    Returns:
        Boxes (n, 4) in pixels, cut off where the image ends, features (n, C), no columns.
    """
    height, width = extent
    cells = within(grid, extent, stride)
    if pool is not None:
        cells = torch.nn.functional.adaptive_avg_pool2d(cells[None], pool)[0]
        edges = [torch.linspace(0, side, count + 1) for side, count in zip(extent, pool, strict=True)]
    else:
        edges = [
            (torch.arange(count + 1) * stride).clamp(max=side)
            for side, count in zip(extent, cells.shape[1:], strict=True)
        ]
    y, x = (edge.to(grid.device) for edge in edges)
    upper, left = torch.meshgrid(y[:-1], x[:-1], indexing="ij")
    lower, right = torch.meshgrid(y[1:], x[1:], indexing="ij")
    boxes = torch.stack([left, upper, right, lower], -1).reshape(-1, 4)
    rows = cells.flatten(1).T
    if whole is not None:
        boxes = torch.cat([boxes, torch.tensor([[0.0, 0.0, width, height]], device=grid.device)])
        rows = torch.cat([rows, whole[None]])
    return boxes, rows, {}


def own_facts(pool: tuple[int, int] | None, whole: str | None) -> dict[str, Any]:
    """Returns how cells become regions, for the fingerprint.

    Args:
        pool: rows and columns they are averaged to; None: as they are.
        whole: what stands for the whole image as a last region; None: there is none.
    """
    return {"order": "row by row", "pool": None if pool is None else list(pool), "whole_image": whole}
