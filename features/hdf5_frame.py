"""Putting HDF5's structure around features that already lie in their place in a file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import h5py
import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.layout import ImageId


def write_frame(
    file: BinaryIO,
    *,
    shape: tuple[int, int],
    dtype: np.dtype,
    tables: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
) -> None:
    """Makes a store of a file that holds nothing but the features, from ``layout.ALIGNMENT`` on.

    Args:
        file: open for reading and writing.
        shape: (T, D) of the features.
        dtype: their type.
        tables: everything else by its place in the store, in the order of writing.
        texts: the root's text attributes.
    """
    kind = dtype.newbyteorder("<")
    # HDF5 writes into the file object and so around what is there: the dataset of the features is given
    # its place at once (early allocation) and never filled, and its place is the first page after the
    # header.
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, _Unwritten(file))
    # Aligning everything wastes a page on each group, so only datasets of a page are aligned, unless the
    # features are less than that: then they are put in again, wherever HDF5 wants them.
    small = _take_back(file, shape, kind) if shape[0] * shape[1] * kind.itemsize < layout.ALIGNMENT else None
    access.set_alignment(layout.ALIGNMENT if small is None else 1, layout.ALIGNMENT)
    # One fixed version of the format: the bytes do not depend on the library's, and from 1.8 on structure has
    # checksums, without which HDF5 can search a damaged file for ever.
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    root = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    group = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    root.set_obj_track_times(False)
    group.set_obj_track_times(False)
    with h5py.File(h5py.h5f.create(b"store", h5py.h5f.ACC_TRUNC, fcpl=root, fapl=access)) as store:
        for part in (b"regions", b"images"):
            h5py.h5g.create(store.id, part, gcpl=group)
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.CONTIGUOUS)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        creation.set_obj_track_times(False)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(store.id, layout.FEATURES.encode(), h5py.h5t.py_create(kind), space, creation)
        if small is not None:
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, small)
        elif dataset.get_offset() != layout.ALIGNMENT:
            raise RuntimeError(f"HDF5 put the features at {dataset.get_offset()}, not {layout.ALIGNMENT}")
        for name, values in tables.items():
            store.create_dataset(name, data=values, track_times=False)
        store.attrs["format_version"] = np.int64(layout.FORMAT_VERSION)
        for name, text in texts.items():
            # Fixed length, without a heap: some versions of HDF5 never return from a damaged heap.
            encoded = text.encode("utf-8")
            store.attrs.create(name, np.array(encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded)))))


def _take_back(file: BinaryIO, shape: tuple[int, int], kind: np.dtype) -> np.ndarray:
    """Returns the features of a file and empties it."""
    file.seek(layout.ALIGNMENT)
    content = file.read(shape[0] * shape[1] * kind.itemsize)
    file.truncate(0)
    return np.frombuffer(content, kind).reshape(shape)


class _Unwritten(io.RawIOBase):
    """A file that HDF5 takes for a new one although features already lie in it.

    HDF5 makes a new file only where the old one is empty, and asks for its end; it is told what it wrote
    itself.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(self._end + offset if whence == 2 else offset, whence % 2)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined]

    def write(self, data: Any) -> int:
        written = self._file.write(data)
        self._end = max(self._end, self._file.tell())
        return written

    def truncate(self, size: int | None = None) -> int:
        self._end = self._file.tell() if size is None else size
        # Never shorter: what lies behind HDF5's end are the features it has not been told of yet.
        if self._end > os.fstat(self._file.fileno()).st_size:
            self._file.truncate(self._end)
        return self._end

    def flush(self) -> None:
        self._file.flush()


def id_array(ids: Sequence[ImageId]) -> np.ndarray:
    """Returns image ids as they are stored: int64, or UTF-8 of a fixed length."""
    if not isinstance(ids[0], str):
        return np.array(ids, dtype="<i8")
    encoded = [str(image_id).encode("utf-8") for image_id in ids]
    # Fixed length: no heap in the file, and reading a hundred thousand of them takes milliseconds.
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(map(len, encoded))))
