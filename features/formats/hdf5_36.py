"""The HDF5 of the fixed-36 features: the same number of regions for every image.

``image_features (N, K, D)``, and where present ``image_bb (N, K, 4)`` in pixels, ``spatial_features (N, K, 6)``,
``cls_score`` and ``attr_score (N, K, 1 or more)``; beside ``NAME.hdf5`` the pickle ``NAME_imgid2idx.pkl`` or
``NAME_imgid2img.pkl``, ``{image id: row}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.butd_hdf5 import ButdHdf5Source, read_row_index, write_files
from vqa_gs.features.reading.hdf5 import Entry, detect_datasets
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError


class Hdf536Source(ButdHdf5Source):
    """An open file of this layout."""

    def _read_entries(self) -> tuple[list[Entry], list[DataError]]:
        if self._features.ndim != 3 or self._features.shape[1] < 1:
            raise DataError(
                f"image_features of shape {self._features.shape}, expected (images, regions, numbers)",
                file=self.path,
            )
        images, regions, _ = self._features.shape
        rows, wrong = read_row_index(self.index_path, images)
        return [Entry(image_id, row, row * regions, (row + 1) * regions) for row, image_id in rows], wrong

    def _slice(self, dataset: h5py.Dataset, start: int, end: int) -> np.ndarray:
        regions = self._features.shape[1]
        return self.file.read(dataset, start // regions, end // regions).reshape(end - start, dataset.shape[2])


class Hdf536:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with ``image_features`` of three axes."""
        return detect_datasets(path, {"image_features": 3})

    def open(self, path: Path) -> Hdf536Source:
        """Opens a file and its index; DataError where either is damaged or missing."""
        return Hdf536Source(path, "fixed-36")

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store whose images have the same number of regions, and its index; see ``WritableFormat``."""
        counts = store.counts(store.image_ids)
        if (uneven := counts != counts[0]).any():
            row = int(uneven.argmax())
            raise DataError(
                f"{counts[row]} regions, the first image has {counts[0]}",
                file=store.path,
                record=f"image {store.image_ids[row]}",
                mend="export to hdf5-adaptive",
            )
        return write_files(store, out, (len(store), int(counts[0])), range(len(store)))


FORMATS.register("hdf5-36")(Hdf536())
