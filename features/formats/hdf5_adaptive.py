"""The HDF5 of the adaptive features: 10 to 100 regions an image, all in one long table.

``image_features (T, D)`` and ``pos_boxes (N, 2)``, the rows [start, end) of image n; where present ``image_bb
(T, 4)`` in pixels, ``spatial_features (T, 6)``, ``cls_score`` and ``attr_score (T, 1 or more)``; beside
``NAME.hdf5`` the pickle ``NAME_imgid2idx.pkl``, ``{image id: n}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.butd_hdf5 import ButdHdf5Source, read_row_index, write_files
from vqa_gs.features.reading.hdf5 import Entry, detect_datasets
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError


class Hdf5AdaptiveSource(ButdHdf5Source):
    """An open file of this layout."""

    def _read_entries(self) -> tuple[list[Entry], list[DataError]]:
        if self._features.ndim != 2:
            raise DataError(
                f"image_features of shape {self._features.shape}, expected (regions, numbers)", file=self.path
            )
        spans = self.file.dataset("pos_boxes", "iu")
        if spans.ndim != 2 or spans.shape[1] != 2:
            raise DataError(f"pos_boxes of shape {spans.shape}, expected (images, 2) integers", file=self.path)
        bounds = self.file.read(spans, 0, len(spans)).astype(np.int64)
        rows, wrong = read_row_index(self.index_path, len(bounds))
        entries = []
        for row, image_id in rows:
            start, end = bounds[row].tolist()
            if 0 <= start < end <= self._features.shape[0]:
                entries.append(Entry(image_id, row, start, end))
            else:
                wrong.append(
                    DataError(
                        f"pos_boxes says regions {start} to {end}, of {self._features.shape[0]}",
                        file=self.path,
                        record=f"row {row}, image {image_id}",
                    )
                )
        return entries, wrong


class Hdf5Adaptive:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file is HDF5 with ``image_features`` and ``pos_boxes`` of two axes."""
        return detect_datasets(path, {"image_features": 2, "pos_boxes": 2})

    def open(self, path: Path) -> Hdf5AdaptiveSource:
        """Opens a file and its index; DataError where either is damaged or missing."""
        return Hdf5AdaptiveSource(path, "adaptive")

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store and its index; see ``WritableFormat``."""
        ends = np.cumsum(store.counts(store.image_ids))
        starts = np.concatenate([[0], ends[:-1]])
        if ends[-1] >= 2**31:
            raise DataError(f"{ends[-1]:,} regions are more than this layout can count", file=store.path)
        places = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        tables = {"pos_boxes": np.stack([starts, ends], 1).astype("<i4")}
        return write_files(store, out, (store.regions,), places, tables)


FORMATS.register("hdf5-adaptive")(Hdf5Adaptive())
