"""The HDF5 of the counting and D-VQA code: every image padded with zero vectors to the same number of regions.

``features (N, D, K)`` channel first, ``boxes (N, 4, K)`` in pixels, ``ids (N,)``, ``widths (N,)``, ``heights (N,)``;
BierOne's variant has ``features (N, K, D)`` and ``boxes (N, K, 4)``. Without boxes the longer axis is D.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.hdf5 import Hdf5File, Hdf5Source, detect_datasets, rows_at_once
from vqa_gs.features.reading.sizes import NO_BOXES, NO_SIZES, corner_size, placeholder_boxes
from vqa_gs.features.reading.source import Damaged, ImageRegions

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file


class Hdf5PaddedSource(Hdf5Source):
    """An open file of this layout."""

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "feature")
        self.files = (self.path,)
        self.file = Hdf5File(self.path, "padded")
        try:
            self._open()
        except Exception as error:
            self.close()
            raise self.file.damage(error) from error

    def _open(self) -> None:
        self._features = self.file.dataset("features")
        if self._features.ndim != 3 or 0 in self._features.shape:
            raise DataError(f"features of shape {self._features.shape}, expected three axes", file=self.path)
        images = len(self._features)
        ids = self.file.dataset("ids", "iu")
        sides = [self.file.dataset(name, "iu") for name in ("widths", "heights") if name in self.file]
        for dataset in (ids, *sides):
            if dataset.shape != (images,):
                raise DataError(f"{dataset.name[1:]} of shape {dataset.shape}, expected ({images},)", file=self.path)
        self._ids = self.file.read(ids, 0, images).tolist()
        self._sides = [self.file.read(side, 0, images).tolist() for side in sides] if len(sides) == 2 else None
        self._boxes = self.file.dataset("boxes") if "boxes" in self.file else None
        self._channel_first = self._is_channel_first()
        self.dim = int(self._features.shape[1 if self._channel_first else 2])
        self.dtype = self._features.dtype
        self.images = images
        if self._boxes is None:
            self.notes = (NO_BOXES,)
        elif self._sides is None:
            self.notes = (NO_SIZES,)

    def _is_channel_first(self) -> bool:
        _, one, other = self._features.shape
        if self._boxes is None:
            return one > other
        shape = self._boxes.shape
        if shape == (len(self._features), 4, other):
            return True
        if shape == (len(self._features), one, 4):
            return False
        raise DataError(f"boxes of shape {shape} do not fit features of {self._features.shape}", file=self.path)

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return list(self._ids)

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images in the order of rows, the padding left out."""
        _, one, other = self._features.shape
        step = rows_at_once(one * other * self.dtype.itemsize)
        for first in range(0, len(self._ids), step):
            yield from self._read_rows(range(first, min(first + step, len(self._ids))), damaged)

    def _read_rows(self, rows: range, damaged: Damaged) -> Iterator[ImageRegions]:
        try:
            features = self.file.read(self._features, rows.start, rows.stop)
            boxes = None if self._boxes is None else self.file.read(self._boxes, rows.start, rows.stop)
        except DataError as error:
            # A chunk that cannot be unpacked takes the images around it along: they are read again, one by one.
            if len(rows) == 1:
                damaged(self._wrong_at(rows.start, error.problem))
            else:
                for row in rows:
                    yield from self._read_rows(range(row, row + 1), damaged)
            return
        for place, row in enumerate(rows):
            try:
                image = self._image(row, features[place], None if boxes is None else boxes[place])
            except DataError as error:
                damaged(error)
                continue
            yield image

    def _wrong_at(self, row: int, problem: str) -> DataError:
        return DataError(problem, file=self.path, record=f"row {row}, image {self._ids[row]}")

    def _image(self, row: int, features: np.ndarray, boxes: np.ndarray | None) -> ImageRegions:
        if self._channel_first:
            features, boxes = features.T, None if boxes is None else boxes.T
        # Padding is behind; a zero vector between others is a region.
        filled = np.nonzero(features.any(1))[0]
        regions = int(filled[-1]) + 1 if len(filled) else 0
        rows = np.ascontiguousarray(features[:regions])
        record = f"row {row}"
        if boxes is None:
            return ImageRegions(self._ids[row], rows, placeholder_boxes(regions), (1, 1), record)
        boxes = boxes[:regions]
        if not np.isfinite(boxes).all():
            raise self._wrong_at(row, "a box holds NaN or infinity")
        size = corner_size(boxes) if self._sides is None else (self._sides[0][row], self._sides[1][row])
        return ImageRegions(self._ids[row], rows, boxes, size, record)


class Hdf5Padded:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with ``features`` of three axes and ``ids`` of one."""
        return detect_datasets(path, {"features": 3, "ids": 1})

    def open(self, path: Path) -> Hdf5PaddedSource:
        """Opens a file; DataError where it is damaged or not of the layout."""
        return Hdf5PaddedSource(path)


FORMATS.register("hdf5-padded")(Hdf5Padded())
