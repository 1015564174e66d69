"""What the formats share whose library is kept in a process of its own: images as arrays by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.parts import record_of_parts
from vqa_gs.features.reading.record import Record, RecordSource
from vqa_gs.features.reading.record_process import ArrayProcess

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file


class ArraySource(RecordSource["int | str"]):
    """Files or folders whose images come as arrays by name, one file after the other.

    Args:
        path: what the user named.
        files: the files that are read.
        kind: of ``ArrayProcess``.
        library: who reads them, for messages.
        beside: what belongs to each file.
    """

    @staticmethod
    def parse(content: Any) -> Record:
        """Makes a record of an image's arrays; any Exception where they do not fit each other."""
        return record_of_parts(content)

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        kind: str,
        library: str,
        beside: Callable[[Path], Path | None] = lambda file: None,
    ) -> None:
        self.path, self._files, self._kind, self._library, self._beside = path, files, kind, library, beside
        self._process: ArrayProcess | None = None
        self._counts: dict[Path, int | None] = {}
        self.images: int | None = None
        self.look()
        if len(self._files) == 1:
            self.images = self._counts[self._files[0]]

    def contents(self) -> Iterator[tuple[int | str, Callable[[], Any]]]:
        """Yields the images in the order of the files, as each has them."""
        for file in self._files:
            self.close()
            self._process = process = ArrayProcess(self._kind, file, self._library, self._beside(file))
            self._counts[file] = process.images
            for key, parts in process:
                yield key, partial(_given, parts)

    def named(self, key: int | str) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return (name_of_file(key) if isinstance(key, str) else key), "record"

    def damage(self, key: int | str, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(problem, file=self.path, record=f"image {key}", mend="fetch the file again")

    def digests(self) -> list[str]:
        """Returns the SHA-256 of each file, for a folder over the names and contents of all in it."""
        besides = [beside for file in self._files if (beside := self._beside(file)) is not None]
        return [sha256_folder(file) if file.is_dir() else sha256_file(file) for file in [*self._files, *besides]]

    def close(self) -> None:
        """Ends the reading process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


def _given(parts: dict[str, np.ndarray] | ValueError) -> dict[str, np.ndarray]:
    if isinstance(parts, ValueError):
        raise parts
    return parts


def sha256_folder(folder: Path) -> str:
    """Returns one SHA-256 over the names and contents of all files of a folder, in the order of names."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        digest.update(name + b"\0" + sha256_file(file).encode())
    return digest.hexdigest()
