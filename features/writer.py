"""Writing a region store: streamed, checked, byte for byte the same for the same input, whole or absent."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack, suppress
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import h5py
import numpy as np

from features import layout
from features.layout import ContentHash, ImageId
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, atomic_path

# HDF5 holds attributes of up to 64 kB.
_LONGEST_FINGERPRINT = 60_000


class RegionStoreWriter:
    """Writes a region store image by image; the file appears only when the block ends without an error.

    >>> with RegionStoreWriter(path, dim=2048, dtype="float16", fingerprint="...") as writer:
    ...     writer.add(image_id, features, boxes, size)

    The features, which may be larger than memory, are written once, to their place in the file; only ids,
    sizes and boxes (16 bytes a region) wait in memory. A writer killed at any moment leaves hidden temporary
    files, removed by the next one.

    Args:
        path: the store to write.
        dim: numbers a region.
        dtype: ``"float16"`` or ``"float32"``.
        fingerprint: how the features were made; two stores with the same fingerprint can be mixed.
        string_ids: image ids are text, not integers; None: what the first image's id is.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        dim: int,
        dtype: str | np.dtype = "float16",
        fingerprint: str,
        string_ids: bool | None = None,
    ) -> None:
        self.path = Path(path)
        self.dim = int(dim)
        self.dtype = np.dtype(dtype)
        self._row_bytes = self.dim * self.dtype.itemsize
        self.fingerprint = fingerprint
        self.string_ids = string_ids
        self.content_hash: str | None = None
        if self.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
            raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
        if self.dim < 1:
            raise UsageError(f"a region needs at least one number, got a dimension of {dim}")
        if "\0" in fingerprint or len(fingerprint.encode("utf-8", "replace")) > _LONGEST_FINGERPRINT:
            raise UsageError(f"a fingerprint is text of at most {_LONGEST_FINGERPRINT} bytes without NUL")
        self._ids: dict[ImageId, None] = {}
        self._first = [0]
        self._sizes: list[tuple[int, int]] = []
        self._boxes: list[np.ndarray] = []
        self._hash = ContentHash()
        self._stack: ExitStack | None = None
        self._temporary: Path
        self._file: BinaryIO

    def __enter__(self) -> RegionStoreWriter:
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            self._file = stack.enter_context(open(self._temporary, "w+b"))
            # HDF5's own bytes before the features are written at the end, when their number is known.
            self._file.seek(layout.ALIGNMENT)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        assert stack is not None
        with stack:
            if kind is None:
                self._finish()
            else:
                # What is still buffered may be what could not be written: closing must not raise that again.
                with suppress(OSError):
                    self._file.close()
                # An error thrown into ``atomic_path`` makes it drop the temporary file and nothing else.
                stack.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def regions(self) -> int:
        """The number of regions added so far."""
        return self._first[-1]

    def add(self, image_id: ImageId, features: np.ndarray, boxes: np.ndarray, size: Any) -> None:
        """Appends an image.

        Args:
            image_id: int or str, not seen before.
            features: (R, D) floats, R at least 1.
            boxes: (R, 4), x1, y1, x2, y2 in pixels.
            size: (2,), width and height in pixels.

        Raises:
            DataError: the image cannot be stored as it is; nothing of it was written.
        """
        if self._stack is None:
            raise RuntimeError("the writer is used as a context manager")
        image_id = self._checked_id(image_id)
        rows = self._checked_features(image_id, features)
        corners = self._checked_boxes(image_id, boxes, len(rows))
        extent = self._checked_size(image_id, size)
        try:
            self._file.write(rows.data)
        except OSError as error:
            raise self._unwritable(error) from error
        self._hash.update("features", rows)
        self._ids[image_id] = None
        self._boxes.append(corners)
        self._sizes.append(extent)
        self._first.append(self._first[-1] + len(rows))

    def _checked_id(self, image_id: ImageId) -> ImageId:
        if isinstance(image_id, Integral) and not isinstance(image_id, bool):
            image_id = int(image_id)
            if not -(2**63) <= image_id < 2**63:
                raise DataError("the image id does not fit 64 bits", record=f"image {image_id}")
        elif isinstance(image_id, str):
            image_id = str(image_id)
            # HDF5 pads fixed-length strings with NULs, and surrogates have no UTF-8.
            if not image_id or "\0" in image_id or not _is_encodable(image_id):
                raise DataError("not an id that can be stored", record=f"image {image_id!r}")
        else:
            raise DataError(f"an image id is an int or a str, not {type(image_id).__name__}")
        if self.string_ids is None:
            self.string_ids = isinstance(image_id, str)
        if isinstance(image_id, str) != self.string_ids:
            raise DataError(
                "integer and text image ids cannot be mixed in one store",
                record=f"image {image_id!r}",
                mend="make all ids of one kind",
            )
        if image_id in self._ids:
            raise DataError("the image occurs twice", record=f"image {image_id}")
        return image_id

    def _checked_features(self, image_id: ImageId, features: np.ndarray) -> np.ndarray:
        record = f"image {image_id}"
        values = np.asarray(features)
        if values.dtype.kind != "f" or values.ndim != 2 or values.shape[1] != self.dim:
            raise DataError(
                f"features of shape {values.shape} and type {values.dtype}, expected (regions, {self.dim}) floats",
                record=record,
            )
        if len(values) == 0:
            raise DataError("has no regions", record=record, mend="leave the image out or give it a whole-image box")
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(values, dtype=self.dtype.newbyteorder("<"))
        finite = np.isfinite(rows)
        if not finite.all():
            region = int(np.nonzero(~finite.all(1))[0][0])
            if np.isfinite(values).all():
                raise DataError(
                    f"region {region} has a number too large for {self.dtype}",
                    record=record,
                    mend="store float32",
                )
            raise DataError(f"region {region} holds NaN or infinity", record=record)
        return rows

    def _checked_boxes(self, image_id: ImageId, boxes: np.ndarray, regions: int) -> np.ndarray:
        record = f"image {image_id}"
        corners = np.array(boxes, dtype="<f4", ndmin=2)
        if corners.shape != (regions, 4):
            raise DataError(f"{regions} regions but boxes of shape {corners.shape}", record=record)
        if not np.isfinite(corners).all():
            raise DataError("a box holds NaN or infinity", record=record)
        if (corners[:, 2:] < corners[:, :2]).any():
            raise DataError("a box ends before it begins", record=record, mend="boxes are x1, y1, x2, y2 in pixels")
        return corners

    def _checked_size(self, image_id: ImageId, size: Any) -> tuple[int, int]:
        values = np.asarray(size).reshape(-1)
        if len(values) != 2 or not all(1 <= value < 2**31 and value == int(value) for value in values):
            raise DataError(
                f"the size {tuple(values.tolist())} is not a width and a height", record=f"image {image_id}"
            )
        return int(values[0]), int(values[1])

    def _finish(self) -> None:
        """Puts HDF5's structure around the features that are already in their place."""
        if not self._ids:
            raise DataError("no images to store", file=self.path)
        ids: list[ImageId] = list(self._ids)
        boxes = np.concatenate(self._boxes)
        first = np.array(self._first, dtype="<i8")
        sizes = np.array(self._sizes, dtype="<i4")
        self._hash.update_ids(ids)
        self._hash.update("first", first)
        self._hash.update("size", sizes)
        self._hash.update("boxes", boxes)
        self.content_hash = self._hash.hexdigest(
            images=len(ids),
            regions=self.regions,
            dim=self.dim,
            dtype=self.dtype,
            string_ids=bool(self.string_ids),
        )
        try:
            self._write_frame(ids, first, sizes, boxes)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"cannot be written: {error.strerror or error}",
            file=self.path,
            mend="make room or choose another disk",
        )

    def _take_back(self) -> np.ndarray:
        """Returns the features written so far and empties the file."""
        self._file.seek(layout.ALIGNMENT)
        content = self._file.read(self.regions * self._row_bytes)
        self._file.truncate(0)
        rows = np.frombuffer(content, self.dtype.newbyteorder("<"))
        return rows.reshape(self.regions, self.dim)

    def _write_frame(self, ids: list[ImageId], first: np.ndarray, sizes: np.ndarray, boxes: np.ndarray) -> None:
        # HDF5 writes into the file object and so around what is there: the dataset of the features is given
        # its place at once (early allocation) and never filled, and its place is the first page after the
        # header.
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fileobj_driver(h5py.h5fd.fileobj_driver, _Unwritten(self._file))
        # Aligning everything wastes a page on each group, so only datasets of a page are aligned, unless the
        # features are less than that: then they are put in again, wherever HDF5 wants them.
        small = self._take_back() if self.regions * self._row_bytes < layout.ALIGNMENT else None
        access.set_alignment(layout.ALIGNMENT if small is None else 1, layout.ALIGNMENT)
        # One fixed version of the format: the bytes do not depend on the library's, and from 1.8 on structure has
        # checksums, without which HDF5 can search a damaged file for ever.
        access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
        root = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        group = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        root.set_obj_track_times(False)
        group.set_obj_track_times(False)
        with h5py.File(h5py.h5f.create(b"store", h5py.h5f.ACC_TRUNC, fcpl=root, fapl=access)) as file:
            for part in (b"regions", b"images"):
                h5py.h5g.create(file.id, part, gcpl=group)
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            creation.set_obj_track_times(False)
            kind = h5py.h5t.py_create(self.dtype.newbyteorder("<"))
            space = h5py.h5s.create_simple((self.regions, self.dim))
            dataset = h5py.h5d.create(file.id, layout.FEATURES.encode(), kind, space, creation)
            if small is not None:
                dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, small)
            elif dataset.get_offset() != layout.ALIGNMENT:
                raise RuntimeError(f"HDF5 put the features at {dataset.get_offset()}, not {layout.ALIGNMENT}")
            file.create_dataset(layout.BOXES, data=boxes, track_times=False)
            file.create_dataset(layout.IDS, data=_id_array(ids), track_times=False)
            file.create_dataset(layout.FIRST, data=first, track_times=False)
            file.create_dataset(layout.SIZES, data=sizes, track_times=False)
            file.attrs["format_version"] = np.int64(layout.FORMAT_VERSION)
            for name, text in (
                ("format", layout.FORMAT),
                ("fingerprint", self.fingerprint),
                ("dtype", self.dtype.name),
                ("content_hash", str(self.content_hash)),
            ):
                # Fixed length, without a heap: some versions of HDF5 never return from a damaged heap.
                encoded = text.encode("utf-8")
                kind = h5py.string_dtype("utf-8", max(1, len(encoded)))
                file.attrs.create(name, np.array(encoded, dtype=kind))


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


def _id_array(ids: list[ImageId]) -> np.ndarray:
    if not isinstance(ids[0], str):
        return np.array(ids, dtype="<i8")
    encoded = [str(image_id).encode("utf-8") for image_id in ids]
    # Fixed length: no heap in the file, and reading a hundred thousand of them takes milliseconds.
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(map(len, encoded))))


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
