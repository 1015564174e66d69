"""Public feature formats: one file each, registered by name, yielding images one by one.

To add a format, add a module here that registers an object with ``detect`` and ``open``, and with ``write`` if
stores can be exported to it; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.grids import GridHints
from vqa_gs.features.reading.source import RegionSource
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import UsageError
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
class HintedFormat(Protocol):
    """A format whose files do not say all that has to be known."""

    def open_with(self, path: Path, hints: GridHints) -> RegionSource:
        """Opens a file of which the user says more, as ``open``."""
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


def writable_names() -> list[str]:
    """Returns the names of the formats that can be written."""
    return [name for name in FORMATS if isinstance(FORMATS[name], WritableFormat)]


def writable_format(name: str) -> WritableFormat:
    """Returns the format of a name; UsageError if there is none or it cannot be written."""
    known = FORMATS[name]
    if not isinstance(known, WritableFormat):
        raise UsageError(f"{name} can be read only", mend=f"choose one of {', '.join(writable_names())}")
    return known
