"""Public feature formats: one file each, registered by name, yielding images one by one.

To add a format, add a module here that registers an object with ``detect`` and ``open``, and with ``write`` if
stores can be exported to it; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from vqa_gs.features.layout import FORMAT, ImageId
from vqa_gs.features.reading.probe import HDF5_SIGNATURE, look
from vqa_gs.features.reading.source import RegionSource
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.registry import Registry


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
