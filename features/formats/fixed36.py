"""The HDF5 of the fixed-36 features: the same number of regions for every image.

``image_features (N, K, D)``, and where present ``image_bb (N, K, 4)`` in pixels and ``spatial_features (N, K,
6)``; beside ``NAME.hdf5`` the pickle ``NAME_imgid2idx.pkl`` or ``NAME_imgid2img.pkl``, ``{image id: row}``.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from features.formats import FORMATS
from features.formats._hdf5 import Hdf5Source, detect_datasets, read_row_index
from features.layout import ImageId
from vqa_gs.common.errors import DataError


class Fixed36Source(Hdf5Source):
    """An open file of this layout."""

    def _read_table(self) -> list[tuple[ImageId, int, int, int]]:
        if self._features.ndim != 3 or self._features.shape[1] < 1:
            raise DataError(
                f"image_features of shape {self._features.shape}, expected (images, regions, numbers)",
                file=self.path,
            )
        images, regions, _ = self._features.shape
        return [
            (image_id, row, row * regions, (row + 1) * regions)
            for row, image_id in read_row_index(self.index_path, images)
        ]

    def _slice(self, dataset: h5py.Dataset, start: int, end: int) -> np.ndarray:
        regions = self._features.shape[1]
        return dataset[start // regions : end // regions].reshape(end - start, dataset.shape[2])


class Fixed36:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with ``image_features`` of three axes."""
        return detect_datasets(path, {"image_features": 3})

    def open(self, path: Path) -> Fixed36Source:
        """Opens a file and its index; DataError where either is damaged or missing."""
        return Fixed36Source(path, "fixed36")


FORMATS.register("fixed36")(Fixed36())
