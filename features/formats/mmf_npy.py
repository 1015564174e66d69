"""MMF's files of an image: ``NAME.npy``, features (R, D), and ``NAME_info.npy``, a pickled dictionary.

``bbox (R, 4)`` pixels, ``image_width``, ``image_height``, ``num_boxes``, ``objects (R,)`` and ``cls_prob (R,
classes)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats.npy import rows
from vqa_gs.features.reading.folder import FolderSource, first_file
from vqa_gs.features.reading.parts import record_of_parts
from vqa_gs.features.reading.record import Record

from vqa_gs.common.arrays import read_npy

_INFO = "_info.npy"


def is_image(name: str) -> bool:
    """Returns whether a file holds features."""
    return not name.endswith(_INFO)


def parse(contents: tuple[bytes, bytes]) -> Record:
    """Makes a record of the bytes of both files; any Exception where they are damaged."""
    features, content = contents
    info: Any = read_npy(content, objects=True)
    if not isinstance(info, dict):
        raise ValueError(f"{_INFO} holds {type(info).__name__}, a dictionary was expected")
    parts = {name: value for name, value in info.items() if isinstance(name, str) and name != "features"}
    return record_of_parts({**parts, "features": np.asarray(rows(read_npy(features)))})


class MmfSource(FolderSource):
    """An open folder."""

    is_image = staticmethod(is_image)

    def content(self, name: str) -> tuple[bytes, bytes]:
        """Returns the bytes of an image's two files; ValueError where the second is missing."""
        beside = name.removesuffix(".npy") + _INFO
        if not (self._folder / beside).is_file():
            raise ValueError(f"{Path(beside).name} is missing beside it")
        return self.bytes_of(name), self.bytes_of(beside)


class MmfNpy:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is an array with its information beside it, or a folder with such."""
        if path.is_file():
            return path.suffix == ".npy" and is_image(path.name) and path.with_name(path.stem + _INFO).is_file()
        return first_file(path, (".npy",), lambda name: name.endswith(_INFO)) is not None

    def open(self, path: Path) -> MmfSource:
        """Opens a folder; DataError where no image of it can be read."""
        return MmfSource(path, (".npy",), parse)


FORMATS.register("mmf-npy")(MmfNpy())
