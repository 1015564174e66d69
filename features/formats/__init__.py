"""Public feature formats: one file each, registered by name, yielding images one by one.

To add a format, add a module here that registers an object with ``detect`` and ``open``; nothing else
changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from features.layout import FORMAT, ImageId, as_text
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file
from vqa_gs.common.registry import Registry

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ImageRegions:
    """One image as a format yields it.

    Attributes:
        image_id: int or str, as the source has it.
        features: (R, D) floats.
        boxes: (R, 4), x1, y1, x2, y2 in pixels.
        size: (2,) width and height.
        record: where in the source it stands ("row 17"), for messages.
    """

    image_id: ImageId
    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    record: str


class RegionSource(Protocol):
    """An open source; iterating it reads it once, in bounded memory, in its own order.

    Attributes:
        dim: numbers a region.
        dtype: the features' type in the source.
        files: every file read, for the record of where features came from.
        images: how many images will come, None where only reading tells.
        notes: what had to be assumed ("no image sizes"), for the user.
    """

    dim: int
    dtype: np.dtype
    files: tuple[Path, ...]
    images: int | None
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[ImageRegions]:
        """Yields the images; DataError naming the row where one is damaged."""
        ...

    def close(self) -> None:
        """Closes the files."""
        ...


class FeatureFormat(Protocol):
    """What a module of this package registers."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file looks like this format; never raises on a foreign or damaged one."""
        ...

    def open(self, path: Path) -> RegionSource:
        """Opens a file of this format; DataError where it is damaged or not of the format."""
        ...


FORMATS: Registry[FeatureFormat] = Registry("feature format", "features.formats")


def detect_format(path: Path) -> str:
    """Returns the name of the format a file is in.

    Raises:
        DataError: no format recognises it.
    """
    require_file(path, "feature")
    for name in FORMATS:
        if FORMATS[name].detect(path):
            return name
    _refuse_damaged_hdf5(path)
    raise DataError(
        "none of the known feature formats",
        file=path,
        mend=f"known are {', '.join(FORMATS.names())}",
    )


def _refuse_damaged_hdf5(path: Path) -> None:
    """Raises a DataError that says more, if the file is HDF5 at all."""
    with open(path, "rb") as file:
        if file.read(len(_HDF5_SIGNATURE)) != _HDF5_SIGNATURE:
            return
    try:
        with h5py.File(path, "r") as handle:
            is_store = as_text(handle.attrs.get("format", "")) == FORMAT
            found = ", ".join(sorted(handle)[:8])
    except Exception as error:  # damaged HDF5 makes h5py raise nearly anything
        raise DataError(
            f"damaged or truncated: {type(error).__name__}: {error}", file=path, mend="fetch the file again"
        ) from error
    if is_store:
        raise DataError("is a region store already", file=path, mend="use it as it is")
    raise DataError(
        f"HDF5 of no known layout, it holds: {found or 'nothing'}",
        file=path,
        mend=f"known are {', '.join(FORMATS.names())}",
    )
