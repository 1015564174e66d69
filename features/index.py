"""What a region store's readers need before the first feature: ids, counts, sizes, where the bytes lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.layout import ImageId, as_text

from vqa_gs.common.errors import DataError, VqaGsError, found_in
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.hdf5 import read_texts, sound_dataset

_STORED = (np.dtype(np.float16), np.dtype(np.float32))


@dataclass(frozen=True)
class StoreIndex:
    """The index of one store file.

    Attributes:
        ids: N image ids.
        rows: image id -> n.
        first: (N + 1,) int64, the regions of image n are ``first[n]:first[n + 1]``.
        sizes: (N, 2) int32, width and height.
        dim: numbers a region.
        dtype: float16 or float32.
        fingerprint: how the features were made.
        content_hash: SHA-256 of the content.
        offset: where the features begin in the file; None if they do not lie there in one piece as they are.
        columns: which of ``layout.COLUMNS`` the store has.
        identity: which file this was read from, to notice that it was replaced.
    """

    ids: tuple[ImageId, ...]
    rows: dict[ImageId, int]
    first: np.ndarray
    sizes: np.ndarray
    dim: int
    dtype: np.dtype
    fingerprint: str
    content_hash: str
    offset: int | None
    columns: tuple[str, ...]
    identity: tuple[int, int, int]

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all images have the same number of regions."""
        return len(set(np.diff(self.first).tolist())) == 1

    @property
    def string_ids(self) -> bool:
        """Whether image ids are text."""
        return bool(self.ids) and isinstance(self.ids[0], str)

    @staticmethod
    def identity_of(status: os.stat_result) -> tuple[int, int, int]:
        """Returns what changes when a file is replaced or written to."""
        return status.st_ino, status.st_size, status.st_mtime_ns


def damage(path: Path, error: Exception) -> VqaGsError:
    """Returns what to raise for an error met while reading a store: itself if it was meant for the user."""
    if isinstance(error, VqaGsError):
        return error
    return DataError(
        f"the region store is damaged or truncated: {type(error).__name__}: {error}",
        file=path,
        mend=f"{layout.REMAKE_HINT}, or copy the file again",
    )


def read_index(path: StrPath) -> StoreIndex:
    """Reads and checks a store's index; a few milliseconds whatever the number of regions.

    Raises:
        DataError: the file is missing, truncated, no region store, of another version, or contradicts itself.
    """
    file = require_file(path, "region store")
    try:
        if not h5py.is_hdf5(file):
            raise DataError(
                "not an HDF5 file, or damaged at its beginning",
                file=file,
                mend="for features in another format run `vqa-gs features convert` on them first",
            )
        with h5py.File(file, "r") as handle:
            return _read(file, handle)
    except Exception as error:  # damaged HDF5 makes h5py raise nearly anything, from KeyError to RuntimeError
        raise damage(file, error) from error


def _read(path: Path, file: h5py.File) -> StoreIndex:
    if as_text(file.attrs.get("format", "")) != layout.FORMAT:
        raise DataError("HDF5, but not a vqa-gs region store", file=path, mend=layout.CONVERT_HINT)
    version = file.attrs.get("format_version")
    if version != layout.FORMAT_VERSION:
        raise DataError(
            f"region store of version {version}, this program reads version {layout.FORMAT_VERSION}",
            file=path,
            mend="update the program or make the store again",
        )
    status = os.stat(path)
    features, boxes, ids, first, sizes = (
        _dataset(path, file, name) for name in (layout.FEATURES, layout.BOXES, layout.IDS, layout.FIRST, layout.SIZES)
    )
    if features.ndim != 2 or features.dtype.newbyteorder("=") not in _STORED:
        raise DataError(
            f"features of shape {features.shape} and type {features.dtype}, expected (T, D) float16 or float32",
            file=path,
        )
    regions, dim = features.shape
    images = ids.shape[0] if ids.ndim == 1 else -1
    shapes = (boxes.shape, first.shape, sizes.shape)
    if shapes != ((regions, 4), (images + 1,), (images, 2)) or images < 1 or dim < 1:
        raise DataError(
            f"{images} images and {regions} regions do not fit boxes, first and size of shapes {shapes}",
            file=path,
        )
    if boxes.dtype.kind != "f" or first.dtype.kind != "i" or sizes.dtype.kind != "i":
        raise DataError(f"unexpected types {boxes.dtype}, {first.dtype}, {sizes.dtype}", file=path)
    columns = layout.columns_of(file)
    for name in columns:
        column = _dataset(path, file, layout.column_path(name))
        if column.shape != (regions,) or column.dtype.newbyteorder("<") != layout.COLUMNS[name]:
            raise DataError(
                f"{name} of shape {column.shape} and type {column.dtype}, expected ({regions},)"
                f" {layout.COLUMNS[name].name}",
                file=path,
            )
    dtype = as_text(file.attrs["dtype"])
    if dtype != features.dtype.name:
        raise DataError(f"features are {features.dtype.name}, the file says {dtype}", file=path)
    starts = first[:].astype(np.int64, copy=False)
    if starts[0] != 0 or starts[-1] != regions or (np.diff(starts) < 1).any():
        raise DataError("the index of first regions does not rise from 0 to the number of regions", file=path)
    names = _read_ids(path, ids)
    rows = {image_id: row for row, image_id in enumerate(names)}
    if len(rows) != len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise DataError(
            "the image id occurs twice in the index", file=path, record=f"image {twice}", mend=layout.REMAKE_HINT
        )
    return StoreIndex(
        ids=names,
        rows=rows,
        first=starts,
        sizes=sizes[:].astype(np.int32, copy=False),
        dim=int(dim),
        dtype=features.dtype.newbyteorder("="),
        fingerprint=as_text(file.attrs["fingerprint"]),
        content_hash=as_text(file.attrs["content_hash"]),
        offset=_plain_offset(features),
        columns=columns,
        identity=StoreIndex.identity_of(status),
    )


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    with found_in(path):
        dataset = sound_dataset(file, name)
    if dataset is None:
        raise DataError(f"the region store lacks {name}", file=path, mend=layout.REMAKE_HINT)
    return dataset


def _plain_offset(dataset: h5py.Dataset) -> int | None:
    """Returns where a dataset's bytes lie; None unless they are in one piece, unfiltered, in native order."""
    if dataset.chunks is not None or dataset.external or not dataset.dtype.isnative:
        return None
    return dataset.id.get_offset()


def _read_ids(path: Path, dataset: h5py.Dataset) -> tuple[ImageId, ...]:
    if dataset.dtype.kind in "iu":
        return tuple(dataset[:].tolist())
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise DataError(f"image ids of type {dataset.dtype}, expected integers or text", file=path)
    return tuple(read_texts(dataset).tolist())
