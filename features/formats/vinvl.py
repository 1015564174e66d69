"""VinVL's TSV (Oscar, scene_graph_benchmark): an image id, and features whose last six numbers are the box.

A row is ``id, num_boxes, features``, or ``id`` and JSON with ``num_boxes`` and ``features``, base64 of float32 (R, D
+ 6) with x1/w, y1/h, x2/w, y2/h, (x2-x1)/w, (y2-y1)/h at the end; or ``id`` and JSON with ``objects``, each with
``rect`` in pixels, ``conf`` and ``feature``. ``NAME.lineidx`` says where rows begin, ``NAME.hw.tsv`` (or
``train.hw.tsv`` beside ``train.feature.tsv``) how large the images were: ``id`` and JSON with ``height`` and
``width``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.record import OtherLayout, Record, RecordSource, whole_number
from vqa_gs.features.reading.tsv import LONGEST_ROW, decode_base64, head_rows, rows_of

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file, sha256_file

NO_SIZES = "no image sizes, which NAME.hw.tsv would hold: boxes are fractions, of an image of 1 x 1"
_BOX = 6
_WIDTH = 2048 + _BOX
_OUTSIDE = 1e-3
_LARGEST_TABLE = 1 << 28

Size = tuple[int, int]


def parse(content: tuple[bytes, bytes, Size | None]) -> Record:
    """Makes a record of a row's second field, its third and the image's size; any Exception where they are damaged."""
    second, third, size = content
    if third:
        return _record(third, whole_number(int(second)), size)
    values = json.loads(second)
    if isinstance(values, dict) and "features" in values:
        return _record(_text(values["features"]), whole_number(values["num_boxes"]), size)
    objects = values.get("objects") if isinstance(values, dict) else values
    if not isinstance(objects, list) or not objects or not all(isinstance(one, dict) for one in objects):
        raise OtherLayout("JSON without num_boxes and features, and without objects")
    rows = [np.frombuffer(decode_base64(_text(one["feature"])), "<f4") for one in objects]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("objects with features of different lengths")
    boxes = np.array([one["rect"] for one in objects], np.float32)
    columns = {}
    if all(isinstance(one.get("conf"), int | float) for one in objects):
        columns["class_score"] = np.array([one["conf"] for one in objects], np.float32)
    return Record(np.stack(rows), boxes, size, columns)


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"base64 was expected, not {type(value).__name__}")
    return value.encode("ascii")


def _record(text: bytes, regions: int, size: Size | None) -> Record:
    if text[:2] == b"b'" and text[-1:] == b"'":  # what Python 3 made of bytes that were written as text
        text = text[2:-1]
    content = decode_base64(text)
    if regions < 1 or not content or len(content) % (4 * regions):
        raise ValueError(f"{len(content)} bytes are no float32 numbers of {regions} regions")
    values = np.frombuffer(content, "<f4").reshape(regions, -1)
    problem = _no_boxes(values[:, -_BOX:]) if values.shape[1] > _BOX else "too few numbers"
    if problem:
        if values.shape[1] == _WIDTH:
            raise ValueError(f"the last six of {_WIDTH} numbers are no box: {problem}")
        return Record(values)
    width, height = (1, 1) if size is None else size
    boxes = values[:, -_BOX : -_BOX + 4] * np.array([width, height, width, height], np.float32)
    return Record(np.ascontiguousarray(values[:, :-_BOX]), boxes, (width, height))


def _no_boxes(spatial: np.ndarray) -> str:
    """Returns why the numbers (R, 6) are not those of boxes inside an image, "" where they are."""
    if not np.isfinite(spatial).all() or spatial.min() < -_OUTSIDE or spatial.max() > 1 + _OUTSIDE:
        return "they leave the image"
    sides = spatial[:, 2:4] - spatial[:, :2]
    if sides.min() < 0 or np.abs(sides - spatial[:, 4:]).max() > _OUTSIDE:
        return "width and height are not those of the corners"
    return ""


class VinvlSource(RecordSource["tuple[int, str]"]):
    """An open TSV; the key of a record is its row and image id."""

    unit = "row"
    parse = staticmethod(parse)

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "feature")
        self._sizes_file = _sizes_file(path)
        self._sizes = {} if self._sizes_file is None else _read_sizes(self._sizes_file)
        self._starts = _read_starts(path.with_suffix(".lineidx"))
        self.images = None if self._starts is None else len(self._starts)
        self.look()
        if not self._sizes and self._has_boxes:
            self.notes = (NO_SIZES,)

    def contents(self) -> Iterator[tuple[tuple[int, str], Callable[[], Any]]]:
        """Yields the rows."""
        end = number = 0
        for number, (buffer, start, stop) in enumerate(rows_of(self.path), 1):
            row = bytes(memoryview(buffer)[start:stop])
            place, end = end, end + len(row) + 1 + (buffer[stop : stop + 1] == b"\r")
            if not row:
                continue
            name, _, rest = row.partition(b"\t")
            key = number - 1, name[:1000].decode("utf-8", "replace").strip()
            yield key, partial(self._read, key, rest, place)
        if self._starts is not None and number < len(self._starts):
            raise DataError(
                f"{number:,} rows, {self.path.stem}.lineidx tells of {len(self._starts):,}",
                file=self.path,
                mend="it is cut off: fetch it again",
            )

    def _read(self, key: tuple[int, str], rest: bytes, place: int) -> tuple[bytes, bytes, Size | None]:
        number, name = key
        if len(rest) + len(name) >= LONGEST_ROW:
            raise ValueError(f"more than {LONGEST_ROW >> 20} MB without an end of line")
        if self._starts is not None and (number >= len(self._starts) or self._starts[number] != place):
            raise ValueError(f"begins at byte {place}, which {self.path.stem}.lineidx does not say of it")
        parts = rest.split(b"\t")
        if len(parts) > 2 or not name or not rest:
            raise ValueError(f"{1 + len(parts)} fields, expected an id, a number of boxes, features; or an id, JSON")
        if self._sizes_file is not None and name not in self._sizes:
            raise ValueError(f"{self._sizes_file.name} has no size of it")
        return parts[0].strip(), parts[1].strip() if len(parts) > 1 else b"", self._sizes.get(name)

    def named(self, key: tuple[int, str]) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file(key[1]), f"row {key[0]} (line {key[0] + 1})"

    def damage(self, key: tuple[int, str], problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(
            problem,
            file=self.path,
            record=f"row {key[0]} (line {key[0] + 1}), image {key[1]}",
            mend="fetch the file again, or leave the row out with --on-error skip",
        )

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the file, and of that with the sizes."""
        files = [self.path] if self._sizes_file is None else [self.path, self._sizes_file]
        return [sha256_file(file) for file in files]


def _sizes_file(path: Path) -> Path | None:
    names = [f"{path.stem}.hw.tsv", f"{path.name.split('.')[0]}.hw.tsv"]
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def _read_sizes(path: Path) -> dict[str, Size]:
    sizes = {}
    try:
        if path.stat().st_size > _LARGEST_TABLE:
            raise ValueError("far larger than a table of sizes")
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition("\t")
            found = json.loads(rest)
            found = found[0] if isinstance(found, list) else found
            sizes[name.strip()] = whole_number(found["width"]), whole_number(found["height"])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError, OverflowError) as error:
        raise DataError(
            f"no table of sizes: {type(error).__name__}: {error}",
            file=path,
            mend='rows are an id and [{"height": 480, "width": 640}]',
        ) from error
    return sizes


def _read_starts(path: Path) -> list[int] | None:
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST_TABLE:
            raise ValueError("far larger than an index")
        lines = path.read_text(encoding="ascii").split()
        if any(len(line) > 18 or not line.isdigit() for line in lines) or not lines:
            raise ValueError("what is no number of bytes")
        return [int(line) for line in lines]
    except ValueError as error:
        raise DataError(
            f"no index of rows: {error}", file=path, mend="remove it, the rows are found without"
        ) from error


class Vinvl:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether the first row is an id and a number of boxes before base64, or before JSON with features."""
        for row in head_rows(path)[:1]:
            parts = row.rstrip(b"\r").split(b"\t")
            if len(parts) == 3:
                return parts[1].strip().isdigit() and len(parts[2]) > 4 * _BOX and b" " not in parts[2].strip()
            if len(parts) == 2 and parts[1][:1] in (b"{", b"["):
                return b'"features"' in parts[1] or b'"feature"' in parts[1]
        return False

    def open(self, path: Path) -> VinvlSource:
        """Opens a file; DataError where no row of it can be read."""
        return VinvlSource(path)


FORMATS.register("vinvl")(Vinvl())
