"""The HDF5 of the bottom-up features' converters: ``image_features`` and a pickled index beside the file.

The fixed and the adaptive layout differ in where an image's regions are. Besides ``image_features`` a file may hold
``image_bb`` (pixels), ``spatial_features`` (fractions, from which the image's size is recovered), and, in the
SCR family, ``cls_score`` and ``attr_score``, whose first column is the id of the class and of the attribute.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from numbers import Integral
from pathlib import Path

import h5py
import numpy as np
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.hdf5 import Entry, Hdf5File, Hdf5Source, neighbours, rows_at_once
from vqa_gs.features.reading.sizes import NO_BOXES, NO_SIZES, image_size, placeholder_boxes
from vqa_gs.features.reading.source import Damaged, ImageRegions
from vqa_gs.features.store import Regions, RegionStore

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import atomic_path, require_file
from vqa_gs.common.pickles import load_pickle

INDEX_SUFFIXES = ("_imgid2idx.pkl", "_imgid2img.pkl")
"""How the index file beside ``NAME.hdf5`` is called: ``NAME`` and one of these."""

_IDS = {"cls_score": "class", "attr_score": "attribute"}
_SCORE = {"class": "class_score", "attribute": "attribute_score"}
_KNOWN = {"image_features", "image_bb", "spatial_features", "pos_boxes", *_IDS}


def find_index(path: Path) -> Path:
    """Returns the index file of a feature file.

    Raises:
        DataError: there is none.
    """
    names = [path.with_name(path.stem + suffix) for suffix in INDEX_SUFFIXES]
    for name in names:
        if name.is_file():
            return name
    raise DataError(
        "the file that says which image is in which row is missing",
        file=path,
        mend=f"put {' or '.join(name.name for name in names)} beside it",
    )


def read_row_index(path: Path, rows: int) -> tuple[list[tuple[int, ImageId]], list[DataError]]:
    """Reads a pickled ``{image id: row}``.

    Args:
        path: the pickle.
        rows: how many rows the feature file has.

    Returns:
        (row, image id) in the order of rows, those no image points to left out; and what is wrong with entries that
        point outside the file or where another one points.

    Raises:
        DataError: not such a dictionary.
    """
    table = load_pickle(path, "image index")
    if not isinstance(table, dict) or not table:
        raise DataError(f"expected a dictionary of image ids, found {type(table).__name__}", file=path)
    owner: dict[int, ImageId] = {}
    wrong = []
    for key, value in table.items():
        image_id = _plain_id(key)
        record = f"image {image_id!r}" if image_id is not None else repr(key)[:60]
        problem = None
        if image_id is None:
            problem = f"an image id is an int or a str, not {type(key).__name__}"
        elif not isinstance(value, Integral) or isinstance(value, bool):
            problem = f"a row number was expected, not {str(value)[:40]!r}"
        elif not 0 <= int(value) < rows:
            problem = f"points to row {int(value)}, the feature file has {rows}"
        elif int(value) in owner:
            problem = f"points to row {int(value)}, as image {owner[int(value)]!r} does"
        else:
            owner[int(value)] = image_id
        if problem is not None:
            wrong.append(DataError(problem, file=path, record=record))
    return sorted(owner.items()), wrong


def _plain_id(key: object) -> ImageId | None:
    if isinstance(key, bytes):  # a dictionary pickled by Python 2
        with suppress(UnicodeDecodeError):
            return key.decode("utf-8")
        return None
    if isinstance(key, Integral) and not isinstance(key, bool):
        return int(key)
    return str(key) if isinstance(key, str) else None


class ButdHdf5Source(Hdf5Source):
    """Images of such a file."""

    def __init__(self, path: Path, layout: str) -> None:
        self.path = require_file(path, "feature")
        self.index_path = find_index(self.path)
        self.files = (self.path, self.index_path)
        self.file = Hdf5File(self.path, layout)
        try:
            self._features = self.file.dataset("image_features")
            if self._features.ndim < 2 or self._features.shape[-1] < 1:
                raise DataError(f"image_features of shape {self._features.shape}", file=self.path)
            self._boxes = self._beside("image_bb", 4)
            self._spatial = self._beside("spatial_features", 4) if self._boxes is not None else None
            scores = {name: self._beside(name, 1) for name in _IDS}
            self._scores = {_IDS[name]: dataset for name, dataset in scores.items() if dataset is not None}
            self.columns = tuple(self._column_names())
            self.dim = int(self._features.shape[-1])
            self.dtype = self._features.dtype
            self._entries, self._wrong = self._read_entries()
            self.images = len(self._entries)
            self.notes = tuple(self._assumptions())
        except Exception as error:
            self.close()
            raise self.file.damage(error) from error

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return [entry.image_id for entry in self._entries]

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images in the order of rows, those the index is wrong about first of all to ``damaged``."""
        for error in self._wrong:
            damaged(error)
        limit = rows_at_once(self.dim * self.dtype.itemsize)
        for group in neighbours(self._entries, limit):
            yield from self._read_group(group, damaged)

    def _read_group(self, group: list[Entry], damaged: Damaged) -> Iterator[ImageRegions]:
        first, last = group[0].start, group[-1].end
        try:
            read = {"features": self._slice(self._features, first, last)}
            for name, dataset in (("boxes", self._boxes), ("spatial", self._spatial), *self._scores.items()):
                if dataset is not None:
                    read[name] = self._slice(dataset, first, last)
        except DataError as error:
            # A chunk that cannot be unpacked takes the images around it along: they are read again, one by one.
            if len(group) == 1:
                damaged(self._wrong_at(group[0], error.problem))
            else:
                for entry in group:
                    yield from self._read_group([entry], damaged)
            return
        for entry in group:
            parts = {name: rows[entry.start - first : entry.end - first] for name, rows in read.items()}
            try:
                image = self._image(entry, parts)
            except DataError as error:
                damaged(error)
                continue
            yield image

    def _read_entries(self) -> tuple[list[Entry], list[DataError]]:
        """Returns the images in file order, and what is wrong with others."""
        raise NotImplementedError

    def _slice(self, dataset: h5py.Dataset, start: int, end: int) -> np.ndarray:
        """Returns regions ``start`` to ``end`` of a dataset, (end - start, columns)."""
        return self.file.read(dataset, start, end)

    def _image(self, entry: Entry, parts: dict[str, np.ndarray]) -> ImageRegions:
        record = f"row {entry.row}"
        columns = self._columns(entry, parts)
        features = parts["features"]
        if "boxes" not in parts:
            boxes = placeholder_boxes(len(features))
            return ImageRegions(entry.image_id, features, boxes, (1, 1), record, columns)
        boxes, spatial = parts["boxes"][:, :4], parts.get("spatial")
        if not np.isfinite(boxes).all() or (spatial is not None and not np.isfinite(spatial).all()):
            raise self._wrong_at(entry, "a box holds NaN or infinity")
        size = image_size(boxes, spatial)
        if size is None:
            raise self._wrong_at(entry, "image_bb and spatial_features contradict each other")
        return ImageRegions(entry.image_id, features, boxes, size, record, columns)

    def _columns(self, entry: Entry, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        columns = {}
        for name in self._scores:
            ids = parts[name][:, 0]
            if not np.isfinite(ids).all() or np.abs(ids).max(initial=0) >= 2**31:
                raise self._wrong_at(entry, f"the {name} of a region is no id")
            columns[name] = ids.astype(np.int32)
            if _SCORE[name] in self.columns:
                columns[_SCORE[name]] = parts[name][:, 1]
        return columns

    def _wrong_at(self, entry: Entry, problem: str) -> DataError:
        return DataError(problem, file=self.path, record=f"row {entry.row}, image {entry.image_id}")

    def _column_names(self) -> Iterator[str]:
        for name, dataset in self._scores.items():
            yield name
            # Two columns are what the export writes: id and score. More are scores of all classes, as it seems.
            if dataset.shape[-1] == 2:
                yield _SCORE[name]

    def _assumptions(self) -> Iterator[str]:
        if self._boxes is None:
            yield NO_BOXES
        elif self._spatial is None:
            yield NO_SIZES
        if others := [name for name in self.file.names() if name not in _KNOWN]:
            yield f"left out: {', '.join(others)}"

    def _beside(self, name: str, columns: int) -> h5py.Dataset | None:
        """Returns an optional dataset with a row for each region."""
        if name not in self.file:
            return None
        dataset = self.file.dataset(name, "fiu" if name in _IDS else "f")
        if dataset.shape[:-1] != self._features.shape[:-1] or dataset.shape[-1] < columns:
            raise DataError(
                f"{name} of shape {dataset.shape} does not fit image_features of {self._features.shape}",
                file=self.path,
            )
        return dataset


def write_files(
    store: RegionStore,
    out: Path,
    axes: tuple[int, ...],
    places: Iterable[int | slice],
    tables: Mapping[str, np.ndarray] | None = None,
) -> Iterator[int]:
    """Writes a store as float32 datasets, and its index as a pickle that Python 2 reads too; see ``WritableFormat``.

    Args:
        store: the store.
        out: the file.
        axes: of the datasets, before the last one: (N, K) or (T,).
        places: where in them each image goes.
        tables: what the layout has besides.
    """
    widths = {"image_features": store.dim, "image_bb": 4, "spatial_features": 6}
    for name, column in _IDS.items():
        if column in store.columns:
            widths[name] = 1 + (_SCORE[column] in store.columns)
    with atomic_path(out) as path, atomic_path(out.with_name(out.stem + INDEX_SUFFIXES[0])) as index:
        rows = {image_id: row for row, image_id in enumerate(store.image_ids)}
        index.write_bytes(pickle.dumps(rows, protocol=2))
        with h5py.File(path, "w") as file:
            # Contiguous, in the order the converters made them.
            for name, width in widths.items():
                file.create_dataset(name, (*axes, width), "<f4")
            for name, values in (tables or {}).items():
                file[name] = values
            for done, (image_id, place) in enumerate(zip(store.image_ids, places, strict=True), 1):
                for name, values in _datasets_of(store[image_id]):
                    file[name][place] = values
                yield done


def _datasets_of(regions: Regions) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the rows of one image for each of those datasets.

    Raises:
        DataError: an id does not fit float32, which is what this layout has for it.
    """
    yield "image_features", regions.features
    yield "image_bb", regions.boxes
    yield "spatial_features", normalized_boxes(regions.boxes, regions.size)
    for name, column in _IDS.items():
        if column in regions.columns:
            ids = regions.columns[column]
            if np.abs(ids).max(initial=0) > 2**24:
                raise DataError(f"the {column} {ids.max()} does not fit float32")
            scores = [regions.columns[_SCORE[column]]] if _SCORE[column] in regions.columns else []
            yield name, np.stack([ids.astype(np.float32), *scores], 1)
