"""safetensors: one file whose tensors are called after images, or a file an image.

In one file ``IMAGE_ID`` or ``IMAGE_ID.features`` is (R, D), and ``IMAGE_ID.boxes``, ``IMAGE_ID.width`` ... what
``reading/parts.py`` knows besides. In a file an image the tensors have these names without the image's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.folder import FolderSource, has_suffix
from vqa_gs.features.reading.parts import NAMES, known_part, record_of_parts
from vqa_gs.features.reading.record import Record, RecordSource

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file, sha256_file

_SUFFIX = ".safetensors"


def parse(content: bytes) -> Record:
    """Makes a record of the bytes of a file that is one image's; any Exception where they are damaged."""
    from safetensors.numpy import load

    return record_of_parts(load(content))


def split_key(key: str) -> tuple[str, str]:
    """Returns a tensor's image and which part of it it is."""
    for mark in "./":
        image, found, part = key.rpartition(mark)
        if found and image and known_part(part):
            return image, part
    return key, "features"


class SafetensorsSource(RecordSource[str]):
    """One open file of many images."""

    parse = staticmethod(record_of_parts)

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "feature")
        try:
            self._file = _opened(path)
            keys = sorted(self._file.keys())
        except Exception as error:
            raise DataError(
                f"no readable safetensors: {type(error).__name__}: {error}", file=path, mend="fetch the file again"
            ) from error
        self._parts: dict[str, dict[str, str]] = {}
        for key in keys:
            image, part = split_key(key)
            self._parts.setdefault(image, {})[part] = key
        self.images = len(self._parts)
        self.look()

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return [self.named(image)[0] for image in self._parts]

    def contents(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yields the images in the order of their names."""
        for image, parts in self._parts.items():
            yield image, partial(self._read, parts)

    def _read(self, parts: dict[str, str]) -> dict[str, Any]:
        return {part: self._file.get_tensor(key) for part, key in parts.items()}

    def named(self, key: str) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file(key), "tensor"

    def damage(self, key: str, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(problem, file=self.path, record=f"image {key}", mend="fetch the file again")

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the file."""
        return [sha256_file(self.path)]


def _opened(path: Path) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="numpy")


class SafetensorsImages:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is such a file or a folder with one."""
        return has_suffix(path, (_SUFFIX,))

    def open(self, path: Path) -> FolderSource | SafetensorsSource:
        """Opens a file or a folder; DataError where nothing of it can be read."""
        if path.is_file():
            try:
                is_one = any(name in NAMES["features"] for name in _opened(path).keys())  # noqa: SIM118 - no mapping
            except Exception:  # told of below
                is_one = False
            if not is_one:
                return SafetensorsSource(path)
        return FolderSource(path, (_SUFFIX,), parse)


FORMATS.register("safetensors")(SafetensorsImages())
