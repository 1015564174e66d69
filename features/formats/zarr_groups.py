"""zarr with an array an image, as SSL-VQA and SAR keep it: ``trainval.zarr/IMAGE_ID (R, D)`` (extra ``zarr``).

Boxes lie in ``trainval_boxes.zarr`` beside it, the images' sizes in ``trainval_image_size.csv`` with the columns
``image_id``, ``image_h`` and ``image_w``, each where it is there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vqa_gs.features.formats import FORMATS
from vqa_gs.features.ids import id_of_text
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.array_source import ArraySource
from vqa_gs.features.reading.parts import record_of_parts
from vqa_gs.features.reading.record import Record

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file

_MARKS = (".zgroup", "zarr.json", ".zmetadata")


def _beside(path: Path) -> Path | None:
    boxes = path.with_name(f"{path.name.removesuffix('.zarr')}_boxes.zarr")
    return boxes if boxes.is_dir() else None


class ZarrSource(ArraySource):
    """An open group."""

    def __init__(self, path: Path) -> None:
        self._table = path.with_name(f"{path.name.removesuffix('.zarr')}_image_size.csv")
        self._sizes = read_sizes(self._table) if self._table.is_file() else {}
        super().__init__(path, [path], "zarr", "zarr", _beside)

    @staticmethod
    def parse(content: Any) -> Record:
        """Makes a record of an image's arrays and its size."""
        parts, size = content
        return replace(record_of_parts(parts), size=size)

    def contents(self) -> Iterator[tuple[int | str, Callable[[], Any]]]:
        """Yields the images in the order of their names."""
        for key, read in super().contents():
            yield key, partial(self._sized, key, read)

    def _sized(self, key: int | str, read: Callable[[], Any]) -> tuple[Any, tuple[int, int] | None]:
        parts, image_id = read(), id_of_text(str(key))
        if self._sizes and image_id not in self._sizes:
            raise ValueError(f"{self._table.name} has no size of it")
        return parts, self._sizes.get(image_id)

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the groups and of the table of sizes."""
        return [*super().digests(), *([sha256_file(self._table)] if self._sizes else [])]


def read_sizes(path: Path) -> dict[ImageId, tuple[int, int]]:
    """Reads a table of images' widths and heights.

    Raises:
        DataError: it lacks a column, or a number in one.
    """
    sizes: dict[ImageId, tuple[int, int]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                sides = [next(int(row[name]) for name in (f"image_{side}", side) if row.get(name)) for side in "wh"]
                sizes[id_of_text(row["image_id"])] = sides[0], sides[1]
    except (ValueError, KeyError, TypeError, StopIteration, csv.Error) as error:
        raise DataError(
            f"no table of sizes: {type(error).__name__}: {error}", file=path, mend="columns image_id, image_w, image_h"
        ) from error
    return sizes


class ZarrGroups:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is a folder that zarr calls a group."""
        return path.is_dir() and any((path / mark).is_file() for mark in _MARKS)

    def open(self, path: Path) -> ZarrSource:
        """Opens a group; DataError where no image of it can be read."""
        if not find_spec("zarr"):
            raise DataError("reading zarr needs the package zarr", file=path, mend="pip install zarr")
        if not path.is_dir():
            raise DataError("is no folder, which a group of zarr is", file=path)
        return ZarrSource(path)


FORMATS.register("zarr")(ZarrGroups())
