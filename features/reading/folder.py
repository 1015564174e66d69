"""What the formats of one file an image share: finding the files, reading them, the hash of them all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.record import Record, RecordSource

from vqa_gs.common.errors import DataError

LARGEST_FILE = 1 << 30
"""A file of one image that is larger is refused before it is read."""

Parse = Callable[[Any], Record]
"""Makes a record of a file's bytes; any Exception where they are damaged."""


def first_file(path: Path, suffixes: Sequence[str], is_image: Callable[[str], bool] = lambda name: True) -> Path | None:
    """Returns the file, or the first of a folder at any depth, that ends in one of the suffixes; None if none does."""
    if path.is_file():
        return path if path.suffix in suffixes else None
    name = next(filter(is_image, _names(path, suffixes)), None)
    return None if name is None else path / name


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Returns whether a path is a file with one of the suffixes, or a folder with such a file at any depth."""
    return first_file(path, suffixes) is not None


def _names(folder: Path, suffixes: Sequence[str]) -> Iterator[str]:
    """Yields the files' paths inside a folder."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            is_wanted = os.path.splitext(name)[1] in suffixes and not name.startswith(".")
            if is_wanted and os.path.isfile(os.path.join(parent, name)):  # a pipe would be waited for
                yield os.path.relpath(os.path.join(parent, name), folder)


class FolderSource(RecordSource[str]):
    """A folder with a file for each image, or one such file.

    Args:
        path: the folder or the file.
        suffixes: how the files' names end.
        parse: what makes an image of a file.
    """

    unit = "file"

    def __init__(self, path: Path, suffixes: Sequence[str], parse: Parse) -> None:
        self.path, self.parse = path, parse
        if path.is_file():
            self._folder, self._files = path.parent, [path.name]
        else:
            self._folder, self._files = path, sorted(filter(self.is_image, _names(path, suffixes)))
        if not self._files:
            raise DataError(f"no files *{' or *'.join(suffixes)} in it", file=path, mend="check the path")
        self._hash = hashlib.sha256()
        self._digest: str | None = None
        self.images = len(self._files)
        self.look()

    @staticmethod
    def is_image(name: str) -> bool:
        """Returns whether a file with one of the suffixes is an image's; others are what belongs to one."""
        return True

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return [self.named(name)[0] for name in self._files]

    def contents(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yields the files in the order of their names."""
        self._hash = hashlib.sha256()
        for name in self._files:
            yield name, partial(self.content, name)
        self._digest = self._hash.hexdigest()

    def content(self, name: str) -> Any:
        """Returns what ``parse`` makes an image of: the bytes of its file."""
        return self.bytes_of(name)

    def bytes_of(self, name: str) -> bytes:
        """Returns a file's bytes, which enter the hash of all."""
        file = self._folder / name
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE >> 30} GB for one image")
        content = file.read_bytes()
        self._hash.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        self._hash.update(content)
        return content

    def digests(self) -> list[str]:
        """Returns one SHA-256 over the names and contents of all files, in the order of names."""
        if self._digest is None:
            for _ in self.read(lambda error: None):
                pass
        assert self._digest is not None
        return [self._digest]

    def named(self, key: str) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file((self._folder / key).stem), f"file {key}"

    def damage(self, key: str, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(
            problem, file=self._folder / key, record=f"image {self.named(key)[0]}", mend="fetch the file again"
        )


@dataclass(frozen=True)
class FolderFormat:
    """A format of one file an image, to be registered under its name.

    Attributes:
        suffixes: how the files' names end.
        parse: what makes an image of a file.
        notes: what is taken for granted, for the user.
    """

    suffixes: Sequence[str]
    parse: Parse
    notes: tuple[str, ...] = ()

    def detect(self, path: Path) -> bool:
        """Returns whether it is such a file or a folder with one."""
        return has_suffix(path, self.suffixes)

    def open(self, path: Path) -> FolderSource:
        """Opens a folder; DataError where no file of it can be read."""
        source = FolderSource(path, self.suffixes, self.parse)
        source.notes = (*self.notes, *source.notes)
        return source
