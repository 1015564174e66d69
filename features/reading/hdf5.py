"""What the public HDF5 layouts share: opening, checking the datasets, reading neighbouring images at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.probe import look
from vqa_gs.features.reading.source import RegionSource

from vqa_gs.common.errors import DataError, VqaGsError, found_in
from vqa_gs.common.files import sha256_file
from vqa_gs.common.hdf5 import sound_dataset

_BLOCK_BYTES = 32 << 20


class Entry(NamedTuple):
    """Where an image is: its row, and its regions ``start`` to ``end`` counted over the whole file."""

    image_id: ImageId
    row: int
    start: int
    end: int


def detect_datasets(path: Path, present: dict[str, int]) -> bool:
    """Returns whether a file is HDF5 with datasets of these numbers of axes."""
    with suppress(DataError):
        found = look(path).datasets
        return all(name in found and len(found[name]) == axes for name, axes in present.items())
    return False


def rows_at_once(row_bytes: int) -> int:
    """Returns how many rows of a dataset are read at once: HDF5 is slow row by row."""
    return max(1, _BLOCK_BYTES // max(1, row_bytes))


class Hdf5File:
    """An open public HDF5 file whose structure HDF5 was seen to walk through.

    Args:
        path: the file.
        layout: the layout's name, for messages.

    Raises:
        DataError: the file is missing, damaged or truncated.
    """

    def __init__(self, path: Path, layout: str) -> None:
        look(path)
        self.path = path
        self._layout = layout
        try:
            self._file = h5py.File(path, "r")
        except Exception as error:
            raise self.damage(error) from error

    def close(self) -> None:
        """Closes the file."""
        with suppress(Exception):
            self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def names(self) -> list[str]:
        """Returns what the root group holds."""
        return sorted(self._file)

    def dataset(self, name: str, kinds: str = "f") -> h5py.Dataset:
        """Returns a dataset of numbers of the kinds given ("f": floats, "iu": integers).

        Raises:
            DataError: there is none, it is of another kind or ends behind the file's end.
        """
        with found_in(self.path):
            dataset = sound_dataset(self._file, name)
        if dataset is None:
            raise DataError(f"lacks the dataset {name} of the {self._layout} layout", file=self.path)
        if dataset.dtype.kind not in kinds or dataset.ndim < 1:
            raise DataError(f"{name} of shape {dataset.shape} and type {dataset.dtype}", file=self.path)
        return dataset

    def read(self, dataset: h5py.Dataset, start: int, end: int) -> np.ndarray:
        """Returns rows ``start`` to ``end`` of a dataset; DataError where they cannot be read."""
        try:
            return dataset[start:end]
        except Exception as error:
            raise self.damage(error) from error

    def damage(self, error: Exception) -> VqaGsError:
        """Returns what to raise for an error met while reading: itself if it was meant for the user."""
        if isinstance(error, VqaGsError):
            return error
        return DataError(
            f"damaged or truncated: {type(error).__name__}: {error}", file=self.path, mend="fetch the file again"
        )


class Hdf5Source(RegionSource):
    """A source that is one HDF5 file and, it may be, files beside it.

    Attributes:
        files: what was read.
    """

    file: Hdf5File
    files: tuple[Path, ...]

    def digests(self) -> list[str]:
        """Returns the SHA-256 of each file."""
        return [sha256_file(file) for file in self.files]

    def close(self) -> None:
        """Closes the HDF5 file."""
        self.file.close()


def neighbours(entries: list[Entry], limit: int) -> Iterator[list[Entry]]:
    """Yields runs of images whose regions follow on each other, at most ``limit`` regions in each."""
    group: list[Entry] = []
    for entry in entries:
        if group and (entry.end - group[0].start > limit or entry.start != group[-1].end):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
