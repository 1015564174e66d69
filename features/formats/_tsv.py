"""What the two TSV layouts share: rows, base64 fields, the file's hash on the way, writing.

One image a row, no header, fields separated by tabs, arrays as base64 of their little-endian bytes. The ``csv`` module
reads such rows too, but decodes and copies what is pure ASCII; here a row stays bytes.
"""

from __future__ import annotations

import binascii
import hashlib
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from features.formats import Damaged, ImageRegions, RegionSource
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file, sha256_file

LONGEST_ROW = 256 << 20
"""A row of more bytes is damage: 1,000 regions of 8,192 numbers have 44 MB."""

_BUFFER = 4 << 20
_HEAD_ROWS = 3
_HEAD_BYTES = 4 << 20
_TRUNCATED = "fetch the file again, or leave the row out with --on-error skip"


def rows_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields the rows with their line ends; one that is too long comes as several pieces of ``LONGEST_ROW`` bytes."""
    while line := file.readline(LONGEST_ROW):
        yield line


def detect_rows(path: Path, fields: Sequence[str], integers: Sequence[str]) -> bool:
    """Returns whether one of a file's first rows has these fields, the named ones whole numbers."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES).split(b"\n")[:_HEAD_ROWS]
    except OSError:
        return False
    for row in head:
        parts = row.rstrip(b"\r").split(b"\t")
        if len(parts) == len(fields) and all(parts[fields.index(name)].strip().isdigit() for name in integers):
            return True
    return False


class TsvSource(RegionSource):
    """An open TSV.

    Args:
        path: the file.
        fields: the names of a row's fields, in their order.
        names: what the fields of the image id, its width and its height are called.
        columns: column of ``layout.COLUMNS`` -> the field it is in.
    """

    untyped_ids = True

    def __init__(
        self, path: Path, fields: Sequence[str], names: tuple[str, str, str], columns: Mapping[str, str] | None = None
    ) -> None:
        self.path = require_file(path, "feature")
        self.dtype = np.dtype(np.float32)
        self._fields = {name: place for place, name in enumerate(fields)}
        self._id, self._width, self._height = names
        self._column_fields = dict(columns or {})
        self.columns = tuple(self._column_fields)
        self._digest: str | None = None
        self.dim = 0
        self.images = self._look()

    def _look(self) -> int:
        """Finds the number of numbers a region from the first row that can be read; returns about how many rows."""
        first_error = None
        with open(self.path, "rb", buffering=_BUFFER) as file:
            for number, row in enumerate(rows_of(file)):
                try:
                    image = self._parse(row, number)
                except DataError as error:
                    first_error = first_error or error
                    continue
                if image is not None:
                    self.dim = image.features.shape[1]
                    return max(1, round(self.path.stat().st_size / len(row)))
        raise first_error or DataError("is empty", file=self.path, mend="fetch the file again")

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images row by row."""
        with open(self.path, "rb", buffering=_BUFFER) as file, _Hashing() as digest:
            for number, row in enumerate(rows_of(file)):
                digest.update(row)
                try:
                    image = self._parse(row, number)
                except DataError as error:
                    damaged(error)
                    continue
                if image is not None:
                    yield image
        self._digest = digest.hexdigest()

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the file, which is known when it was read to its end."""
        return [self._digest or sha256_file(self.path)]

    def _parse(self, row: bytes, number: int) -> ImageRegions | None:
        """Returns a row's image, None for an empty row; DataError where it is damaged."""
        line = row.rstrip(b"\r\n")
        if not line:
            return None
        record = f"row {number} (line {number + 1})"
        parts = line.split(b"\t")
        image_id = _text(parts[0])
        try:
            if len(row) >= LONGEST_ROW:
                raise ValueError(f"more than {LONGEST_ROW >> 20} MB without an end of line")
            if len(parts) != len(self._fields):
                raise ValueError(f"{len(parts)} fields instead of {len(self._fields)}, cut off or of another format")
            if not image_id:
                raise ValueError("no image id")
            regions = self._whole(parts, "num_boxes", least=0)
            size = self._whole(parts, self._width, least=1), self._whole(parts, self._height, least=1)
            columns = {
                name: self._array(parts, field, regions, ("<i8", "<i4") if name in ("class", "attribute") else ("<f4",))
                for name, field in self._column_fields.items()
            }
            boxes = self._array(parts, "boxes", 4 * regions, ("<f4", "<f8")).reshape(regions, 4)
            features = self._features(parts, regions)
        except ValueError as error:
            where = record + (f", image {image_id}" if image_id else "")
            raise DataError(str(error), file=self.path, record=where, mend=_TRUNCATED) from error
        return ImageRegions(image_id, features, boxes, size, record, columns)

    def _whole(self, parts: list[bytes], name: str, least: int) -> int:
        text = parts[self._fields[name]].strip()
        if not text.isdigit() or len(text) > 9 or int(text) < least:
            raise ValueError(f"{name} is {_text(text)[:40]!r}, no whole number of at least {least}")
        return int(text)

    def _decoded(self, parts: list[bytes], name: str) -> bytes:
        text = parts[self._fields[name]]
        # What Python 3 made of bytes that were written as text.
        if text[:2] == b"b'" and text[-1:] == b"'":
            text = text[2:-1]
        try:
            return binascii.a2b_base64(text)
        except binascii.Error as error:
            raise ValueError(f"{name}: truncated or damaged base64 ({error})") from error

    def _array(self, parts: list[bytes], name: str, count: int, kinds: Sequence[str]) -> np.ndarray:
        content = self._decoded(parts, name)
        for kind in kinds:
            if len(content) == count * np.dtype(kind).itemsize:
                return np.frombuffer(content, kind)
        expected = " or ".join(str(count * np.dtype(kind).itemsize) for kind in kinds)
        raise ValueError(f"{name}: {len(content)} bytes instead of {expected}")

    def _features(self, parts: list[bytes], regions: int) -> np.ndarray:
        content = self._decoded(parts, "features")
        if not self.dim:
            if not regions or not content or len(content) % (4 * regions):
                raise ValueError(f"features: {len(content)} bytes are no float32 numbers of {regions} regions")
        elif len(content) != 4 * regions * self.dim:
            raise ValueError(
                f"features: {len(content)} bytes instead of {4 * regions * self.dim}, {regions} x {self.dim} float32"
            )
        return np.frombuffer(content, "<f4").reshape(regions, -1 if regions else self.dim)


class _Hashing:
    """SHA-256 in a thread of its own; hashing leaves the interpreter to others."""

    def __enter__(self) -> _Hashing:
        self._hash = hashlib.sha256()
        self._blocks: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._blocks.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)

    def update(self, block: bytes) -> None:
        self._blocks.put(block)

    def hexdigest(self) -> str:
        """Returns the digest, once the block has been left."""
        return self._hash.hexdigest()


def _text(field: bytes) -> str:
    """Returns a text field; ``csv`` quotes those with odd characters."""
    text = field.decode("utf-8", "replace").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"')
    return text


def encoded(values: np.ndarray, kind: str) -> bytes:
    """Returns numbers as base64 of their bytes."""
    return binascii.b2a_base64(np.ascontiguousarray(values, kind).data, newline=False)


def id_field(text: str) -> bytes:
    """Returns an image id as a field; DataError where readers of TSV would not find it whole."""
    if not text or any(character in text for character in '\t\r\n"') or text != text.strip():
        raise DataError("an id that a TSV cannot hold", record=f"image {text!r}")
    return text.encode("utf-8")
