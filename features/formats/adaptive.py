"""The HDF5 of the adaptive features: 10 to 100 regions an image, all in one long table.

``image_features (T, D)`` and ``pos_boxes (N, 2)``, the rows [start, end) of image n; where present ``image_bb
(T, 4)`` in pixels and ``spatial_features (T, 6)``; beside ``NAME.hdf5`` the pickle ``NAME_imgid2idx.pkl``,
``{image id: n}``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.formats import FORMATS
from features.formats._hdf5 import Hdf5Source, detect_datasets, read_row_index
from features.layout import ImageId
from vqa_gs.common.errors import DataError


class AdaptiveSource(Hdf5Source):
    """An open file of this layout."""

    def _read_table(self) -> list[tuple[ImageId, int, int, int]]:
        if self._features.ndim != 2:
            raise DataError(
                f"image_features of shape {self._features.shape}, expected (regions, numbers)", file=self.path
            )
        spans = self._dataset("pos_boxes")
        if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
            raise DataError(f"pos_boxes of shape {spans.shape}, expected (images, 2) integers", file=self.path)
        bounds = spans[:].astype(np.int64)
        table = []
        for row, image_id in read_row_index(self.index_path, len(bounds)):
            start, end = bounds[row].tolist()
            if not 0 <= start < end <= self._features.shape[0]:
                raise DataError(
                    f"pos_boxes says regions {start} to {end}, of {self._features.shape[0]}",
                    file=self.path,
                    record=f"row {row}, image {image_id}",
                )
            table.append((image_id, row, start, end))
        return table


class Adaptive:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with ``image_features`` and ``pos_boxes`` of two axes."""
        return detect_datasets(path, {"image_features": 2, "pos_boxes": 2})

    def open(self, path: Path) -> AdaptiveSource:
        """Opens a file and its index; DataError where either is damaged or missing."""
        return AdaptiveSource(path, "adaptive")


FORMATS.register("adaptive")(Adaptive())
