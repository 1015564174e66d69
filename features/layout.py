"""The region store's file layout, shared by the writer and the reader: names, version, content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

ImageId = int | str

FORMAT = "vqa-gs-regions"
FORMAT_VERSION = 1
FEATURES = "regions/features"
BOXES = "regions/boxes"
IDS = "images/id"
FIRST = "images/first"
SIZES = "images/size"

COLUMNS = {
    "class": np.dtype("<i4"),
    "class_score": np.dtype("<f4"),
    "attribute": np.dtype("<i4"),
    "attribute_score": np.dtype("<f4"),
}
"""What a detector may say of each region, ``regions/NAME (T,)``: ids and confidences; every one is optional."""

ALIGNMENT = 4096
"""Features start on a page boundary, so that a file can also be read with O_DIRECT."""

CONVERT_HINT = "run `vqa-gs features convert` on it first"
REMAKE_HINT = "convert or extract the features again"

# The order in which the parts enter the content hash.
_HASHED = ("ids", "first", "size", "boxes", "features")


class ContentHash:
    """SHA-256 over what a store says, not over its bytes: a repacked file keeps it.

    Each part is hashed by itself and the parts' digests are hashed together, so that parts can be streamed in
    any order: a writer knows the features first and the number of images last.

    Args:
        columns: which of ``COLUMNS`` the store has; a store without any hashes as if there were no such thing.
    """

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self._parts = {name: hashlib.sha256() for name in (*_HASHED, *sorted(columns))}

    def update(self, part: str, values: np.ndarray) -> None:
        """Adds an array's values, as little-endian bytes in C order, to a part."""
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self._parts[part].update(little.reshape(-1).view(np.uint8).data)

    def update_ids(self, ids: list[ImageId]) -> None:
        """Adds image ids: int64, or UTF-8 with a NUL after each."""
        if ids and isinstance(ids[0], str):
            self._parts["ids"].update("".join(f"{image_id}\0" for image_id in ids).encode("utf-8"))
        else:
            self.update("ids", np.array(ids, dtype=np.int64))

    def hexdigest(self, *, images: int, regions: int, dim: int, dtype: np.dtype, string_ids: bool) -> str:
        """Returns 64 hex digits; the shapes are hashed too, as the parts' bytes alone do not tell them."""
        kind = "str" if string_ids else "int64"
        lines = [f"{FORMAT} {FORMAT_VERSION} {images} {regions} {dim} {dtype.name} {kind}"]
        lines += [f"{name} {digest.hexdigest()}" for name, digest in self._parts.items()]
        return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()


def column_path(name: str) -> str:
    """Returns where a column of ``COLUMNS`` lies in the file."""
    return f"regions/{name}"


def columns_of(file: h5py.File) -> tuple[str, ...]:
    """Returns which of ``COLUMNS`` an open store has."""
    return tuple(name for name in COLUMNS if column_path(name) in file)


def as_text(value: Any) -> str:
    """Returns an HDF5 string, which h5py gives as ``str``, ``bytes`` or a NumPy scalar, as ``str``."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
