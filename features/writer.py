"""Writing a region store: streamed, checked, byte for byte the same for the same input, whole or absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.hdf5_frame import id_array, write_frame
from vqa_gs.features.layout import ContentHash, ImageId
from vqa_gs.features.memory import copy_alone

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, atomic_path
from vqa_gs.common.lazy import torch

# HDF5 holds attributes of up to 64 kB.
_LONGEST_FINGERPRINT = 60_000


class RegionStoreWriter:
    """Writes a region store image by image; the file appears only when the block ends without an error.

    The features, which may be larger than memory, are written once, to their place in the file; only ids,
    sizes and boxes (16 bytes a region) wait in memory. A writer killed at any moment leaves hidden temporary
    files, removed by the next one.

    Args:
        path: the store to write.
        dim: numbers a region.
        dtype: ``"float16"`` or ``"float32"``.
        fingerprint: how the features were made; two stores with the same fingerprint can be mixed. The attribute
            of that name can be set until the block ends.
        string_ids: image ids are text, not integers; None: what the first image's id is.
        columns: which of ``layout.COLUMNS`` every image comes with.

    Example:
        >>> import tempfile
        >>> from vqa_gs.features.store import RegionStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RegionStoreWriter(f"{folder}/r.h5", dim=4, fingerprint="made up") as writer:
        ...         writer.add(7, np.ones((2, 4)), np.array([[0, 0, 5, 5], [1, 1, 9, 9]]), (10, 10))
        ...     with RegionStore(f"{folder}/r.h5") as store:
        ...         store[7].features.tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        path: StrPath,
        *,
        dim: int,
        dtype: str | np.dtype = "float16",
        fingerprint: str,
        string_ids: bool | None = None,
        columns: Iterable[str] = (),
    ) -> None:
        self.path = Path(path)
        self.dim = int(dim)
        self.dtype = np.dtype(dtype)
        self._row_bytes = self.dim * self.dtype.itemsize
        self.fingerprint = fingerprint
        self.string_ids = string_ids
        self.columns = tuple(columns)
        self.content_hash: str | None = None
        if self.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
            raise UsageError(f"features cannot be stored as {dtype}", mend="choose float16 or float32")
        if self.dim < 1:
            raise UsageError(f"a region needs at least one number, got a dimension of {dim}")
        if unknown := [name for name in self.columns if name not in layout.COLUMNS]:
            raise UsageError(f"regions have no column {unknown[0]!r}", mend=f"choose of {', '.join(layout.COLUMNS)}")
        _check_fingerprint(fingerprint)
        self._ids: dict[ImageId, None] = {}
        self._first = [0]
        self._sizes: list[tuple[int, int]] = []
        self._boxes: list[np.ndarray] = []
        self._column_parts: dict[str, list[np.ndarray]] = {name: [] for name in self.columns}
        self._hash = ContentHash(self.columns)
        self._wide = self._narrow = np.empty(0)
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

    def add(
        self,
        image_id: ImageId,
        features: np.ndarray,
        boxes: np.ndarray,
        size: Any,
        columns: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Appends an image.

        Args:
            image_id: int or str, not seen before.
            features: (R, D) floats, R at least 1.
            boxes: (R, 4), x1, y1, x2, y2 in pixels.
            size: (2,), width and height in pixels.
            columns: (R,) each, the columns the writer was told of and no others.

        Raises:
            DataError: the image cannot be stored as it is; nothing of it was written.
        """
        if self._stack is None:
            raise RuntimeError("the writer is used as a context manager")
        image_id = self._checked_id(image_id)
        rows = self._checked_features(image_id, features)
        corners = self._checked_boxes(image_id, boxes, len(rows))
        extent = self._checked_size(image_id, size)
        extra = self._checked_columns(image_id, columns or {}, len(rows))
        try:
            self._file.write(rows.data)
        except OSError as error:
            raise self._unwritable(error) from error
        self._hash.update("features", rows)
        self._ids[image_id] = None
        self._boxes.append(corners)
        for name, column in extra.items():
            self._column_parts[name].append(column)
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
        rows = self._stored(values)
        finite = _finite_rows(rows)
        if not finite.all():
            region = int(np.nonzero(~finite)[0][0])
            if np.isfinite(values).all():
                raise DataError(
                    f"region {region} has a number too large for {self.dtype}",
                    record=record,
                    mend="store float32",
                )
            raise DataError(f"region {region} holds NaN or infinity", record=record)
        return rows

    def _stored(self, values: np.ndarray) -> np.ndarray:
        """Returns features in the store's type, little-endian and contiguous; valid until the next call."""
        if values.dtype == np.float32 and self.dtype == np.float16:
            # torch rounds as NumPy does, a hundred times faster; it needs writable memory, which decoded text is not.
            if self._wide.shape != values.shape:
                self._wide, self._narrow = np.empty(values.shape, np.float32), np.empty(values.shape, np.float16)
            np.copyto(self._wide, values)
            copy_alone(torch.from_numpy(self._narrow), torch.from_numpy(self._wide))
            values = self._narrow
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, dtype=self.dtype.newbyteorder("<"))

    def _checked_columns(
        self, image_id: ImageId, columns: Mapping[str, np.ndarray], regions: int
    ) -> dict[str, np.ndarray]:
        record = f"image {image_id}"
        if set(columns) != set(self.columns):
            raise DataError(f"has the columns {sorted(columns)}, expected {sorted(self.columns)}", record=record)
        checked = {}
        for name in self.columns:
            values, kind = np.asarray(columns[name]), layout.COLUMNS[name]
            if values.shape != (regions,):
                raise DataError(f"{regions} regions but {name} of shape {values.shape}", record=record)
            if kind.kind == "f":
                fits = values.dtype.kind == "f" and bool(np.isfinite(values).all())
            else:
                fits = values.dtype.kind in "iu" and bool(((values >= -(2**31)) & (values < 2**31)).all())
            if not fits:
                raise DataError(f"{name} holds what is no {kind.name}", record=record)
            checked[name] = values.astype(kind)
        return checked

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
        columns = {name: np.concatenate(parts) for name, parts in self._column_parts.items()}
        for name, values in columns.items():
            self._hash.update(name, values)
        _check_fingerprint(self.fingerprint)
        self.content_hash = self._hash.hexdigest(
            images=len(ids),
            regions=self.regions,
            dim=self.dim,
            dtype=self.dtype,
            string_ids=bool(self.string_ids),
        )
        try:
            write_frame(
                self._file,
                shape=(self.regions, self.dim),
                dtype=self.dtype,
                tables={
                    layout.BOXES: boxes,
                    **{layout.column_path(name): columns[name] for name in sorted(columns)},
                    layout.IDS: id_array(ids),
                    layout.FIRST: first,
                    layout.SIZES: sizes,
                },
                texts={
                    "format": layout.FORMAT,
                    "fingerprint": self.fingerprint,
                    "dtype": self.dtype.name,
                    "content_hash": self.content_hash,
                },
            )
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"cannot be written: {error.strerror or error}",
            file=self.path,
            mend="make room or choose another disk",
        )


def _check_fingerprint(text: str) -> None:
    if "\0" in text or len(text.encode("utf-8", "replace")) > _LONGEST_FINGERPRINT:
        raise UsageError(f"a fingerprint is text of at most {_LONGEST_FINGERPRINT} bytes without NUL")


def _finite_rows(rows: np.ndarray) -> np.ndarray:
    """Returns which rows (R, D) hold finite numbers only."""
    if rows.dtype.itemsize == 2:
        # NumPy widens each half before it looks; the bits tell it ten times faster.
        return (rows.view("<u2") & 0x7C00).max(1) < 0x7C00
    return np.isfinite(rows).all(1)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
