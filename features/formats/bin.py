"""Folders with a file ``IMAGE_ID.bin`` (or ``.data``) for each image: raw little-endian float32, nothing else.

chrisc36's code writes 36 x 2048 numbers an image. Nothing in a file says so: 2048 numbers a region are assumed.
"""

from __future__ import annotations

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.folder import FolderFormat
from vqa_gs.features.reading.record import Record

_DIM = 2048


def parse(content: bytes) -> Record:
    """Makes a record of a file's bytes; ValueError where they are no whole regions."""
    if not content or len(content) % (4 * _DIM):
        raise ValueError(f"{len(content)} bytes are no regions of {_DIM} float32 numbers")
    return Record(np.frombuffer(content, "<f4").reshape(-1, _DIM))


FORMATS.register("bin")(FolderFormat((".bin", ".data"), parse, (f"raw numbers were taken as regions of {_DIM}",)))
