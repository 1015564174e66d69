"""Public feature formats: one file each, registered by name, yielding images one by one.

To add a format, add a module here that registers an object with ``detect`` and ``open``, and with ``write`` if
stores can be exported to it; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from vqa_gs.features.formats._probe import HDF5_SIGNATURE, look
from vqa_gs.features.layout import FORMAT, ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.registry import Registry


@dataclass(frozen=True)
class ImageRegions:
    """One image as a format yields it.

    Attributes:
        image_id: int or str, as the source has it.
        features: (R, D) floats.
        boxes: (R, 4), x1, y1, x2, y2 in pixels.
        size: (2,) width and height.
        record: where in the source it stands ("row 17"), for messages.
        columns: (R,) each, those the source names in its ``columns``.
    """

    image_id: ImageId
    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    record: str
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


Damaged = Callable[[DataError], None]
"""Told of every record that cannot be read; it raises, or returns for the reading to go on with the next."""


def refuse_damaged(error: DataError) -> None:
    """Raises: the first damaged record ends the reading."""
    raise error


class RegionSource:
    """An open source; iterating it reads it once, in bounded memory, in its own order.

    Attributes:
        dim: numbers a region.
        dtype: the features' type in the source.
        images: how many images will come, about; None where only reading tells.
        notes: what had to be assumed ("no image sizes"), for the user.
        columns: which of ``layout.COLUMNS`` every image has.
        untyped_ids: image ids were text without a type, so that numbers among them may stand for ints.
    """

    dim: int
    dtype: np.dtype
    images: int | None
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    untyped_ids: bool = False

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images; ``damaged`` gets a DataError naming file and record for each that cannot be read."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[ImageRegions]:
        return self.read(refuse_damaged)

    def digests(self) -> list[str]:
        """Returns the SHA-256 of what was read, for the record of where features came from."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the files."""


class FeatureFormat(Protocol):
    """What a module of this package registers."""

    def detect(self, path: Path) -> bool:
        """Returns whether the file or folder looks like this format; never raises on a foreign or damaged one."""
        ...

    def open(self, path: Path) -> RegionSource:
        """Opens a file of this format; DataError where it is damaged or not of the format."""
        ...


@runtime_checkable
class WritableFormat(Protocol):
    """A format that a store can be exported to."""

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store's images, yielding how many are done; the files appear when the last one is.

        Args:
            store: what to write.
            out: the file; an index is called after it.
            id_text: how an image id is written where the format has text.
        """
        ...


FORMATS: Registry[FeatureFormat] = Registry("feature format", "vqa_gs.features.formats")


def writable_format(name: str) -> WritableFormat:
    """Returns the format of a name; UsageError if there is none or it cannot be written."""
    known = FORMATS[name]
    if not isinstance(known, WritableFormat):
        names = [other for other in FORMATS if isinstance(FORMATS[other], WritableFormat)]
        raise UsageError(f"{name} can be read only", mend=f"choose one of {', '.join(names)}")
    return known


def detect_format(path: Path) -> str:
    """Returns the name of the format a file or folder is in.

    Raises:
        DataError: it does not exist, or no format recognises it.
    """
    if not path.exists():
        raise DataError("no such feature file or folder", file=path, mend="check the path")
    for name in FORMATS:
        if FORMATS[name].detect(path):
            return name
    known = f"known are {', '.join(FORMATS.names())}; --format names one that is not recognised"
    if path.is_dir():
        raise DataError("a folder without files of a known feature format", file=path, mend=known)
    with open(path, "rb") as file:
        is_hdf5 = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    if not is_hdf5:
        raise DataError("none of the known feature formats", file=path, mend=known)
    facts = look(path)
    if facts.format == FORMAT:
        raise DataError("is a region store already", file=path, mend="use it as it is")
    found = ", ".join(sorted(facts.datasets)[:8])
    raise DataError(f"HDF5 of no known layout, it holds: {found or 'nothing'}", file=path, mend=known)
