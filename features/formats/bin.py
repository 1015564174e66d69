"""Folders with a file ``IMAGE_ID.bin`` (or ``.data``) for each image: raw little-endian float32, nothing else.

chrisc36's code writes 36 x 2048 numbers an image. Nothing in a file says so: 2048 numbers a region are assumed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats._folder import FolderSource, has_suffix
from vqa_gs.features.formats._record import Record

_SUFFIXES = (".bin", ".data")
_DIM = 2048


def parse(content: bytes) -> Record:
    """Makes a record of a file's bytes; ValueError where they are no whole regions."""
    if not content or len(content) % (4 * _DIM):
        raise ValueError(f"{len(content)} bytes are no regions of {_DIM} float32 numbers")
    return Record(np.frombuffer(content, "<f4").reshape(-1, _DIM))


class BinSource(FolderSource):
    """An open folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SUFFIXES, parse)
        self.notes = (f"raw numbers were taken as regions of {_DIM}", *self.notes)


class Bin:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is such a file or a folder with one."""
        return has_suffix(path, _SUFFIXES)

    def open(self, path: Path) -> BinSource:
        """Opens a folder; DataError where no file of it can be read."""
        return BinSource(path)


FORMATS.register("bin")(Bin())
