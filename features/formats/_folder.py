"""What the formats of one file an image share: finding the files, reading them, the hash of them all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vqa_gs.features.formats import Damaged, ImageRegions, RegionSource
from vqa_gs.features.formats._record import Record
from vqa_gs.features.ids import name_of_file

from vqa_gs.common.errors import DataError

LARGEST_FILE = 1 << 30
"""A file of one image that is larger is refused before it is read."""

Parse = Callable[[bytes], Record]
"""Makes a record of a file's bytes; any Exception where they are damaged."""


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Returns whether a path is a file with one of the suffixes, or a folder with such a file at any depth."""
    if path.is_file():
        return path.suffix in suffixes
    return next(_names(path, suffixes), None) is not None


def _names(folder: Path, suffixes: Sequence[str]) -> Iterator[str]:
    """Yields the files' paths inside a folder."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1] in suffixes and not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), folder)


class FolderSource(RegionSource):
    """A folder with a file for each image, or one such file.

    Args:
        path: the folder or the file.
        suffixes: how the files' names end.
        parse: what makes an image of a file.
    """

    untyped_ids = True

    def __init__(self, path: Path, suffixes: Sequence[str], parse: Parse) -> None:
        self.path = path
        if path.is_file():
            self._folder, self._files = path.parent, [path.name]
        else:
            self._folder, self._files = path, sorted(_names(path, suffixes))
        if not self._files:
            raise DataError(f"no files *{' or *'.join(suffixes)} in it", file=path, mend="check the path")
        self._parse = parse
        self._digest: str | None = None
        self.images = len(self._files)
        first = self._first()
        self.dim = int(first.features.shape[1])
        self.dtype = first.features.dtype
        self.columns = tuple(first.columns)
        self.notes = first.assumptions

    def _first(self) -> Record:
        """Returns the first record that can be read, which the others are to be like."""
        error = None
        for name in self._files:
            try:
                return self._load(name, None)[0]
            except DataError as damage:
                error = error or damage
        assert error is not None
        raise error

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images in the order of the files' names."""
        digest = hashlib.sha256()
        for name in self._files:
            try:
                _, image = self._load(name, digest)
                if set(image.columns) < set(self.columns):
                    absent = sorted(set(self.columns) - set(image.columns))
                    raise self._damage(name, f"lacks {', '.join(absent)}, which the first file has")
            except DataError as error:
                damaged(error)
                continue
            if set(image.columns) != set(self.columns):
                columns = {column: image.columns[column] for column in self.columns}
                image = ImageRegions(image.image_id, image.features, image.boxes, image.size, image.record, columns)
            yield image
        self._digest = digest.hexdigest()

    def digests(self) -> list[str]:
        """Returns one SHA-256 over the names and contents of all files, in the order of names."""
        if self._digest is None:
            for _ in self.read(lambda error: None):
                pass
        assert self._digest is not None
        return [self._digest]

    def _load(self, name: str, digest: hashlib._Hash | None) -> tuple[Record, ImageRegions]:
        file = self._folder / name
        try:
            if file.stat().st_size > LARGEST_FILE:
                raise ValueError(f"more than {LARGEST_FILE >> 30} GB for one image")
            content = file.read_bytes()
            if digest is not None:
                digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
                digest.update(content)
            record = self._parse(content)
            image = record.image(name_of_file(file.stem), f"file {name}")
        except Exception as error:  # damaged files make their readers raise nearly anything
            text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise self._damage(name, f"not readable: {text[:300]}") from error
        return record, image

    def _damage(self, name: str, problem: str) -> DataError:
        file = self._folder / name
        return DataError(problem, file=file, record=f"image {name_of_file(file.stem)}", mend="fetch the file again")
