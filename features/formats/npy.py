"""A NumPy array for each image: a folder of ``IMAGE_ID.npy``, or one archive (.zip, .npz) of them.

Each is (R, D), or (1, R, D): tokens, regions, or with R of 1 a vector an image; of one axis it is one region. There
are no boxes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.folder import LARGEST_FILE, FolderSource, first_file
from vqa_gs.features.reading.record import OtherLayout, Record, RecordSource

from vqa_gs.common.arrays import read_npy, unpacked_sizes
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file, sha256_file

_ARCHIVES = (".npz", ".zip")


def rows(values: Any) -> np.ndarray:
    """Returns an image's array as (R, D); OtherLayout where it is none."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        if values.ndim == 3 and len(values) == 1:
            return values[0]
        if values.ndim in (1, 2):
            return np.atleast_2d(values)
        raise OtherLayout(f"an array of shape {values.shape}, expected (regions, numbers)")
    kind = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
    raise OtherLayout(f"{kind}, expected floats")


def parse(content: bytes) -> Record:
    """Makes a record of a file's bytes; any Exception where they are damaged."""
    return Record(rows(read_npy(content)))


class NpyArchive(RecordSource[str]):
    """An open archive of arrays."""

    unit = "array"
    parse = staticmethod(parse)

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "feature")
        try:
            self._archive = zipfile.ZipFile(self.path)
            sizes = unpacked_sizes(self._archive, self.path.stat().st_size)
        except Exception as error:
            raise DataError(
                f"no readable archive: {type(error).__name__}: {error}", file=path, mend="fetch the file again"
            ) from error
        self._sizes = {name: size for name, size in sizes.items() if not name.endswith("/")}
        self._names = sorted(entry for entry in self._archive.namelist() if entry.endswith(".npy"))
        self.images = len(self._names)
        self.look()

    def listed(self) -> list[ImageId]:
        """See ``RegionSource``."""
        return [self.named(name)[0] for name in self._names]

    def contents(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yields the arrays in the order of their names."""
        for name in self._names:
            yield name, partial(self._read, name)

    def _read(self, name: str) -> bytes:
        if self._sizes[name.removesuffix(".npy")] > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE >> 30} GB for one image")
        return self._archive.read(name)

    def named(self, key: str) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file(key.removesuffix(".npy")), f"array {key}"

    def damage(self, key: str, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(problem, file=self.path, record=f"image {self.named(key)[0]}", mend="fetch the file again")

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the archive."""
        return [sha256_file(self.path)]


class Npy:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is a .npy file of floats, a folder with one, or an archive of nothing else but ``x``."""
        if path.is_file() and path.suffix in _ARCHIVES:
            return _is_archive(path)
        try:
            file = first_file(path, (".npy",))
            return (
                file is not None and file.stat().st_size <= LARGEST_FILE and len(parse(file.read_bytes()).features) > 0
            )
        except Exception:  # what is no such file makes its readers raise nearly anything
            return False

    def open(self, path: Path) -> FolderSource | NpyArchive:
        """Opens a folder or an archive; DataError where nothing of it can be read."""
        if path.is_file() and path.suffix in _ARCHIVES:
            return NpyArchive(path)
        return FolderSource(path, (".npy",), parse)


def _is_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            first = next((name for name in sorted(names) if name.endswith(".npy")), None)
            # One image's archive has its features as x.
            if first is None or "x.npy" in names or archive.getinfo(first).file_size > LARGEST_FILE:
                return False
            with archive.open(first) as member:
                np.lib.format.read_magic(io.BytesIO(member.read(8)))
            return True
    except Exception:
        return False


FORMATS.register("npy")(Npy())
