"""Boxes: normalised coordinates, areas and overlaps, for NumPy arrays and torch tensors alike.

A box is x1, y1, x2, y2 in pixels, its corners on the edges of pixels: its width is x2 - x1, with no "+ 1".
Every function returns the kind of array it was given.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from vqa_gs.common.lazy import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


def _check_last(array: Any, length: int, what: str) -> None:
    if array.ndim < 1 or array.shape[-1] != length:
        raise ValueError(f"{what} must have {length} numbers in the last axis, got shape {tuple(array.shape)}")


def normalized_boxes(boxes: Array, sizes: Array) -> Array:
    """Returns boxes as fractions of their images, in the six columns of the field's ``spatial_features``.

    Args:
        boxes: (..., R, 4) pixels.
        sizes: (..., 2) width and height of the images the boxes lie in, one axis fewer than ``boxes``; a size
            of zero, as padding has it, counts as one pixel.

    Returns:
        (..., R, 6): x1/w, y1/h, x2/w, y2/h, (x2-x1)/w, (y2-y1)/h, float32 unless ``boxes`` is float64.
    """
    _check_last(boxes, 4, "boxes")
    _check_last(sizes, 2, "sizes")
    if not isinstance(boxes, np.ndarray):
        kind = boxes.dtype if boxes.dtype == torch.float64 else torch.float32
        scale = torch.as_tensor(sizes).to(boxes.device, kind).clamp(min=1.0)[..., None, :]
        corners = boxes.to(kind)
        low, high = corners[..., :2] / scale, corners[..., 2:] / scale
        return torch.cat([low, high, (corners[..., 2:] - corners[..., :2]) / scale], -1)
    number = boxes.dtype if boxes.dtype == np.float64 else np.dtype(np.float32)
    divisor = np.maximum(np.asarray(sizes).astype(number), 1)[..., None, :]
    corner = boxes.astype(number, copy=False)
    start, end = corner[..., :2] / divisor, corner[..., 2:] / divisor
    return np.concatenate([start, end, (corner[..., 2:] - corner[..., :2]) / divisor], -1)


def box_area(boxes: Array) -> Array:
    """Returns the areas (...) of boxes (..., 4); a box whose corners are the wrong way round has area 0."""
    _check_last(boxes, 4, "boxes")
    sides = (boxes[..., 2:] - boxes[..., :2]).clip(0)
    return sides[..., 0] * sides[..., 1]


def box_intersection(a: Array, b: Array) -> Array:
    """Returns the common area (..., A, B) of each box of ``a`` (..., A, 4) and each of ``b`` (..., B, 4)."""
    _check_last(a, 4, "boxes")
    _check_last(b, 4, "boxes")
    one, other = a[..., :, None, :], b[..., None, :, :]
    larger, smaller = (np.maximum, np.minimum) if isinstance(a, np.ndarray) else (torch.maximum, torch.minimum)
    sides = (smaller(one[..., 2:], other[..., 2:]) - larger(one[..., :2], other[..., :2])).clip(0)
    return sides[..., 0] * sides[..., 1]


def box_iou(a: Array, b: Array) -> Array:
    """Returns the intersection over union (..., A, B) of boxes (..., A, 4) and (..., B, 4).

    Two boxes of area 0 overlap by 0, wherever they lie.
    """
    common = box_intersection(a, b)
    union = box_area(a)[..., :, None] + box_area(b)[..., None, :] - common
    # Where the union is empty the intersection is 0 too, so any divisor gives the 0 that is wanted.
    return common / (union + (union <= 0))


def grid_shape(boxes: np.ndarray) -> tuple[int, int] | None:
    """Returns the rows and columns of a grid whose cells boxes are, row by row; None where they are none.

    Args:
        boxes: (R, 4); a last one that covers all others, as of a whole image, is left out.
    """
    if len(boxes) < 2:
        return None
    is_whole = (boxes[-1, :2] <= boxes[:-1, :2].min(0)).all() and (boxes[-1, 2:] >= boxes[:-1, 2:].max(0)).all()
    cells = boxes[:-1] if is_whole else boxes
    # A row ends where the next box begins further left.
    steps = np.nonzero(cells[1:, 0] <= cells[:-1, 0])[0]
    columns = int(steps[0]) + 1 if len(steps) else len(cells)
    if len(cells) % columns:
        return None
    grid = cells.reshape(-1, columns, 4)
    same_columns = (grid[:, :, [0, 2]] == grid[:1, :, [0, 2]]).all()
    same_rows = (grid[:, :, [1, 3]] == grid[:, :1, [1, 3]]).all()
    is_tiled = (grid[:, 1:, 0] == grid[:, :-1, 2]).all() and (grid[1:, :, 1] == grid[:-1, :, 3]).all()
    return grid.shape[:2] if same_columns and same_rows and is_tiled else None


def grid_boxes(width: int, height: int, rows: int = 3, columns: int = 3) -> np.ndarray:
    """Returns boxes for an image nobody has drawn any in: the whole of it, then a grid.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        rows: of the grid.
        columns: of the grid.

    Returns:
        (1 + rows * columns, 4) float32, the grid's cells row by row.
    """
    x = np.linspace(0, width, columns + 1)
    y = np.linspace(0, height, rows + 1)
    cells = [(x[i], y[j], x[i + 1], y[j + 1]) for j in range(rows) for i in range(columns)]
    return np.array([(0, 0, width, height), *cells], dtype=np.float32)
