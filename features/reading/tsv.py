"""What the two TSV layouts share: rows, base64 fields, the file's hash on the way, writing.

One image a row, no header, fields separated by tabs, arrays as base64 of their little-endian bytes. The ``csv`` module
reads such rows too, but decodes and copies what is pure ASCII; here a row stays bytes.
"""

from __future__ import annotations

import binascii
import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from vqa_gs.features.layout import COLUMNS, ImageId
from vqa_gs.features.reading.source import Damaged, ImageRegions, RegionSource
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import atomic_path, require_file, sha256_file

# The extra `fast`; the standard library decodes a fortieth as fast.
pybase64 = import_module("pybase64") if find_spec("pybase64") else None

LONGEST_ROW = 64 << 20
"""A row of more bytes is damage: 1,000 regions of 8,192 numbers have 44 MB."""

_BUFFER = 2 << 20
_RETURN = ord("\r")
_LONGEST_ID = 1000
_HEAD_ROWS = 3
_HEAD_BYTES = 4 << 20
_TRUNCATED = "fetch the file again, or leave the row out with --on-error skip"


Row = tuple[bytearray, int, int]
"""A row without its line end: where in a buffer it begins and ends. It is overwritten when the next one is asked for:
rows are long, and copying them costs as much as hashing them."""


def rows_of(path: Path, read: Callable[[int], None] = lambda count: None) -> Iterator[Row]:
    """Yields the rows of a file; one that is longer than ``LONGEST_ROW`` comes in pieces of that length.

    Args:
        path: the file.
        read: called with the number of bytes after each reading.
    """
    buffer = bytearray(_BUFFER)
    start = seen = end = 0
    with open(path, "rb", buffering=0) as file:
        while True:
            stop = buffer.find(b"\n", seen, end)
            if stop >= 0:
                yield buffer, start, stop - (stop > start and buffer[stop - 1] == _RETURN)
                start = seen = stop + 1
                continue
            if end - start >= LONGEST_ROW:
                yield buffer, start, start + LONGEST_ROW
                start = seen = start + LONGEST_ROW
                continue
            if end == len(buffer):
                rest = buffer[start:end]
                if len(rest) > len(buffer) // 2:
                    buffer = bytearray(2 * len(buffer))
                buffer[: len(rest)] = rest
                start, end = 0, len(rest)
            seen = end
            with memoryview(buffer) as view:
                count = file.readinto(view[end:])
            read(count)
            if count == 0:
                if end > start:
                    yield buffer, start, end
                return
            end += count


def head_rows(path: Path) -> list[bytes]:
    """Returns a file's first rows, cut off where they are very long; none of what cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES).split(b"\n")[:_HEAD_ROWS]
    except OSError:
        return []


def detect_rows(path: Path, fields: Sequence[str], integers: Sequence[str]) -> bool:
    """Returns whether one of a file's first rows has these fields, the named ones whole numbers."""
    for row in head_rows(path):
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
        for number, row in enumerate(rows_of(self.path)):
            try:
                image = self._parse(row, number)
            except DataError as error:
                first_error = first_error or error
                continue
            if image is not None:
                self.dim = image.features.shape[1]
                return max(1, round(self.path.stat().st_size / (row[2] - row[1] + 2)))
        raise first_error or DataError("is empty", file=self.path, mend="fetch the file again")

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images row by row."""
        with _Hashing(self.path) as digest:
            for number, row in enumerate(rows_of(self.path, digest.follow)):
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

    def _parse(self, row: Row, number: int) -> ImageRegions | None:
        """Returns a row's image, None for an empty row; DataError where it is damaged."""
        buffer, start, stop = row
        if start == stop:
            return None
        record = f"row {number} (line {number + 1})"
        image_id = ""
        parts: list[bytes | memoryview] = []
        # Features come last, and are left where they are.
        while len(parts) < len(self._fields) - 1 and (tab := buffer.find(b"\t", start, stop)) >= 0:
            parts.append(bytes(buffer[start:tab]))
            start = tab + 1
        with memoryview(buffer) as view, view[start:stop] as last:
            parts.append(last)
            try:
                image_id = _text(bytes(parts[0][:_LONGEST_ID]))
                if stop - start >= LONGEST_ROW:
                    raise ValueError(f"more than {LONGEST_ROW >> 20} MB without an end of line")
                if len(parts) != len(self._fields):
                    raise ValueError(
                        f"{len(parts)} fields instead of {len(self._fields)}, cut off or of another format"
                    )
                if not image_id:
                    raise ValueError("no image id")
                return self._image(parts, image_id, record)
            except ValueError as error:
                where = record + (f", image {image_id}" if image_id else "")
                raise DataError(str(error), file=self.path, record=where, mend=_TRUNCATED) from error

    def _image(self, parts: list[bytes | memoryview], image_id: str, record: str) -> ImageRegions:
        regions = self._whole(parts, "num_boxes", least=0)
        size = self._whole(parts, self._width, least=1), self._whole(parts, self._height, least=1)
        columns = {
            name: self._array(parts, field, regions, ("<i8", "<i4") if COLUMNS[name].kind == "i" else ("<f4",))
            for name, field in self._column_fields.items()
        }
        boxes = self._array(parts, "boxes", 4 * regions, ("<f4", "<f8")).reshape(regions, 4)
        return ImageRegions(image_id, self._features(parts, regions), boxes, size, record, columns)

    def _whole(self, parts: list[bytes | memoryview], name: str, least: int) -> int:
        text = bytes(parts[self._fields[name]]).strip()
        if not text.isdigit() or len(text) > 9 or int(text) < least:
            raise ValueError(f"{name} is {_text(text)[:40]!r}, no whole number of at least {least}")
        return int(text)

    def _decoded(self, parts: list[bytes | memoryview], name: str) -> bytes:
        text = parts[self._fields[name]]
        # What Python 3 made of bytes that were written as text.
        if text[:2] == b"b'" and text[-1] == ord("'"):
            text = text[2:-1]
        try:
            return decode_base64(text)
        except binascii.Error as error:
            raise ValueError(f"{name}: truncated or damaged base64 ({error})") from error

    def _array(self, parts: list[bytes | memoryview], name: str, count: int, kinds: Sequence[str]) -> np.ndarray:
        content = self._decoded(parts, name)
        for kind in kinds:
            if len(content) == count * np.dtype(kind).itemsize:
                return np.frombuffer(content, kind)
        expected = " or ".join(str(count * np.dtype(kind).itemsize) for kind in kinds)
        raise ValueError(f"{name}: {len(content)} bytes instead of {expected}")

    def _features(self, parts: list[bytes | memoryview], regions: int) -> np.ndarray:
        content = self._decoded(parts, "features")
        if not self.dim:
            if not regions or not content or len(content) % (4 * regions):
                raise ValueError(f"features: {len(content)} bytes are no float32 numbers of {regions} regions")
        elif len(content) != 4 * regions * self.dim:
            raise ValueError(
                f"features: {len(content)} bytes instead of {4 * regions * self.dim}, {regions} x {self.dim} float32"
            )
        return np.frombuffer(content, "<f4").reshape(regions, -1 if regions else self.dim)


def decode_base64(text: bytes | memoryview) -> bytes:
    """Returns what base64 stands for; binascii.Error where it is cut off or damaged."""
    if pybase64 is not None:
        # It looks at every character; what it will not have, such as line ends, is left to the standard library, so
        # that a file reads the same with it and without.
        with suppress(binascii.Error):
            return pybase64.b64decode(text, validate=True)
    return binascii.a2b_base64(text)


class _Hashing:
    """SHA-256 of a file, behind another reader of it by a few MB, in a thread of its own.

    Hashing leaves the interpreter to others; what it reads is in memory still.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._counts: queue.Queue[int] = queue.Queue(maxsize=8)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Hashing:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._counts.put(0)
        self._thread.join()

    def _work(self) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        try:
            with open(self._path, "rb", buffering=0) as file:
                while rest := self._counts.get():
                    while rest and (count := file.readinto(buffer[:rest])):
                        self._hash.update(buffer[:count])
                        rest -= count
        except OSError as error:
            self._error = error
            while self._counts.get():
                pass

    def follow(self, count: int) -> None:
        """Tells that so many bytes more were read."""
        if count:
            self._counts.put(count)

    def hexdigest(self) -> str:
        """Returns the digest of what was read, once the block has been left."""
        if self._error is not None:
            raise DataError(f"cannot be read: {self._error.strerror}", file=self._path) from self._error
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


def _id_field(text: str) -> bytes:
    """Returns an image id as a field; DataError where readers of TSV would not find it whole."""
    if not text or any(character in text for character in '\t\r\n"') or text != text.strip():
        raise DataError("an id that a TSV cannot hold", record=f"image {text!r}")
    return text.encode("utf-8")


class TsvFormat:
    """A layout of TSV, to be registered under its name.

    Args:
        fields: as for ``TsvSource``.
        names: as for ``TsvSource``.
        columns: as for ``TsvSource``.
        absent: columns that are written as zeros where a store has none: no confidence in anything.
    """

    def __init__(
        self,
        fields: Sequence[str],
        names: tuple[str, str, str],
        columns: Mapping[str, str] | None = None,
        absent: Sequence[str] = (),
    ) -> None:
        self._fields, self._names, self._columns, self._absent = fields, names, columns or {}, absent

    def detect(self, path: Path) -> bool:
        """Returns whether one of the first rows has so many fields, sizes and number of boxes whole numbers."""
        return detect_rows(path, self._fields, (*self._names[1:], "num_boxes"))

    def open(self, path: Path) -> TsvSource:
        """Opens a file; DataError where no row of it can be read."""
        return TsvSource(path, self._fields, self._names, self._columns)

    def write(self, store: RegionStore, out: Path, id_text: Callable[[ImageId], str]) -> Iterator[int]:
        """Writes a store that has the layout's columns; see ``WritableFormat``."""
        made_up = () if set(self._absent) & set(store.columns) else self._absent
        if absent := [name for name in self._columns if name not in (*store.columns, *made_up)]:
            raise DataError(f"the store has no {', '.join(absent)}", file=store.path, mend="export to tsv")
        with atomic_path(out) as path, open(path, "wb") as file:
            for done, image_id in enumerate(store.image_ids, 1):
                regions = store[image_id]
                texts = [_id_field(id_text(image_id)), *(b"%d" % side for side in regions.size.tolist())]
                row = dict(zip(self._names, texts, strict=True))
                for name, field in self._columns.items():
                    values = regions.columns.get(name, np.zeros(len(regions.boxes)))
                    row[field] = encoded(values, "<i8" if COLUMNS[name].kind == "i" else "<f4")
                row["num_boxes"] = b"%d" % len(regions.boxes)
                row["boxes"], row["features"] = encoded(regions.boxes, "<f4"), encoded(regions.features, "<f4")
                file.write(b"\t".join(row[field] for field in self._fields) + b"\r\n")
                yield done
