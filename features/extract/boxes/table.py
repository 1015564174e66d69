"""Boxes from a JSON or CSV file, whatever program they come from."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from vqa_gs.features.extract.boxes import (
    BoxSettings,
    BoxSource,
    Found,
    RegionLimits,
    box_source,
    clipped,
    require_argument,
)
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, sha256_file

if TYPE_CHECKING:
    from PIL import Image

_HEADER = ("image_id", "x1", "y1", "x2", "y2")
_MEND = 'JSON is {"image_id": [[x1, y1, x2, y2], ...], ...}, CSV has the columns image_id,x1,y1,x2,y2'


@box_source("table")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; its argument is the file."""
    return Table(require_argument("table", argument, "a JSON or CSV file of boxes"), settings.limits)


class Table(BoxSource):
    """Boxes by image id, in the file's order.

    Keys of JSON objects and cells of CSV are text; an image is found by its id as text.
    """

    def __init__(self, path: StrPath, limits: RegionLimits) -> None:
        self._file = require_file(path, "boxes")
        self._boxes = _read_csv(self._file) if self._file.suffix.lower() == ".csv" else _read_json(self._file)
        self._limits = limits
        self.facts: dict[str, Any] = {"source": "table", "sha256": sha256_file(self._file), "regions": str(limits)}

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        boxes = self._boxes.get(str(image_id))
        if boxes is None:
            raise DataError("the file of boxes has no such image", file=self._file, record=f"image {image_id}")
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        if not np.isfinite(corners).all() or (corners[:, 2:] < corners[:, :2]).any():
            raise DataError(
                "a box ends before it begins, or is not finite", file=self._file, record=f"image {image_id}", mend=_MEND
            )
        return clipped(Found(corners), image.size, self._limits.high)


def _read_json(path: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[float, float, float, float]]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"not a file of boxes: {error}", file=path, mend=_MEND) from error


def _read_csv(path: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    reader = None
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        if missing := [name for name in _HEADER if name not in (reader.fieldnames or ())]:
            raise DataError(f"has no column {missing[0]}", file=path, mend=_MEND)
        for cells in reader:
            x1, y1, x2, y2 = (float(cells[name]) for name in _HEADER[1:])
            boxes.setdefault(cells["image_id"], []).append((x1, y1, x2, y2))
    except (ValueError, TypeError, csv.Error) as error:
        line = f"line {reader.line_num}" if reader else None
        raise DataError(f"not a box: {error}", file=path, record=line, mend=_MEND) from error
    return boxes
