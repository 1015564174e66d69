"""Grids of features: which axis holds the numbers, and the cells as boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vqa_gs.features.geometry import grid_boxes
from vqa_gs.features.reading.record import OtherLayout, Record
from vqa_gs.features.reading.torch_file import read_torch

from vqa_gs.common.arrays import read_npy

LAYOUTS = ("nchw", "nhwc")
CELLS = "no image sizes: an image's size is its grid, a cell is a pixel of it"
_MOST_CELLS = 128


@dataclass(frozen=True)
class GridHints:
    """What the user says of grids that do not say it themselves.

    Attributes:
        layout: ``"nchw"``, numbers before rows and columns, or ``"nhwc"``, behind them; None: to be found.
        width: numbers a cell; None: to be found.
    """

    layout: str | None = None
    width: int | None = None

    def __bool__(self) -> bool:
        return self.layout is not None or self.width is not None


def read_array(content: bytes) -> object:
    """Returns what a .npy or torch file holds; any Exception where it is damaged."""
    return read_npy(content) if content.startswith(b"\x93NUMPY") else read_torch(content)


def is_grid(value: object) -> bool:
    """Returns whether a value is one image's grid: three axes none of which is 1, or four of which the first is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or 0 in value.shape:
        return False
    return (value.ndim == 4 and len(value) == 1) or (value.ndim == 3 and len(value) > 1)


def grid_record(value: object, hints: GridHints) -> Record:
    """Returns a grid as a record: cells row by row, each a box of one by one in an image as large as the grid.

    Args:
        value: (1, C, h, w), (C, h, w), (1, h, w, C) or (h, w, C).
        hints: what is known of all grids.

    Raises:
        OtherLayout: it is no grid, or either axis may hold the numbers.
    """
    if not is_grid(value):
        shape = getattr(value, "shape", None)
        raise OtherLayout(f"no grid of features but {type(value).__name__}{'' if shape is None else f' of {shape}'}")
    assert isinstance(value, np.ndarray)
    grid = value[0] if value.ndim == 4 else value
    if _is_channel_first(grid.shape, hints):
        grid = grid.transpose(1, 2, 0)
    rows, columns, width = grid.shape
    if hints.width is not None and width != hints.width:
        raise OtherLayout(f"a grid of {rows} x {columns} cells of {width} numbers, not {hints.width}", "mend --width")
    boxes = grid_boxes(columns, rows, rows, columns)[1:]
    return Record(np.ascontiguousarray(grid).reshape(-1, width), boxes, (columns, rows))


def _is_channel_first(shape: tuple[int, ...], hints: GridHints) -> bool:
    if hints.layout is not None:
        return hints.layout == "nchw"
    first, last = shape[0], shape[-1]
    if hints.width is not None and (first == hints.width) != (last == hints.width):
        return first == hints.width
    # Networks have hundreds of channels, grids tens of cells a side.
    if (first > _MOST_CELLS) != (last > _MOST_CELLS):
        return first > _MOST_CELLS
    raise OtherLayout(
        f"a grid of shape {tuple(shape)}, whose numbers may be the first or the last axis",
        "say which with --layout nchw or nhwc, or --width",
    )
