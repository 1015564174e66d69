"""LMDB of pickled dictionaries, one an image, of mmf and of vilbert-multi-task and volta; needs the ``lmdb`` extra.

The key ``keys`` holds the pickled list of all others. A record has ``features``, the boxes as ``bbox`` (mmf) or
``boxes``, ``image_width`` and ``image_height`` or ``image_w`` and ``image_h``, ``num_boxes``; mmf's also ``objects``
and ``cls_prob``. Arrays, or in volta base64 of float32. Where there are more features than ``num_boxes``, the rest was
put in to fill up.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.parts import detections
from vqa_gs.features.reading.record import DETECTED, Record, RecordSource, whole_number
from vqa_gs.features.reading.record_process import RecordProcess
from vqa_gs.features.reading.source import Damaged, ImageRegions

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file
from vqa_gs.common.pickles import parse_pickle

_MAGIC = b"\xde\xc0\xef\xbe"
_HELPER = Path(__file__).parents[1] / "reading" / "lmdb_process.py"
_KEYS = b"keys"


def _data_file(path: Path) -> Path:
    return path / "data.mdb" if path.is_dir() else path


def _numbers(value: Any, columns: int) -> np.ndarray:
    """Returns an array that is one already or base64 of float32."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, bytes | str):
        raise ValueError(f"an array or base64 was expected, not {type(value).__name__}")
    content = binascii.a2b_base64(value)
    if columns < 1 or not content or len(content) % (4 * columns):
        raise ValueError(f"{len(content)} bytes are no float32 numbers of {columns} regions")
    return np.frombuffer(content, "<f4").reshape(columns, -1)


def parse(content: bytes) -> Record:
    """Makes a record of a pickled dictionary; any Exception where it is damaged."""
    values = parse_pickle(content)
    if not isinstance(values, dict) or "features" not in values:
        raise ValueError("no dictionary with features")
    number = values.get("num_boxes")
    regions = None if number is None else whole_number(int(number) if isinstance(number, str | bytes) else number)
    features = _numbers(values["features"], regions or 0)
    regions = len(features) if regions is None else regions
    if len(features) < regions:
        raise ValueError(f"num_boxes says {regions}, there are features of {len(features)}")
    boxes = values.get("bbox", values.get("boxes"))
    sides = [values.get(f"image_{long}", values.get(f"image_{long[0]}")) for long in ("width", "height")]
    size = None
    if all(side is not None for side in sides):
        width, height = (whole_number(int(side) if isinstance(side, str | bytes) else side) for side in sides)
        size = width, height
    columns = {name: values[:regions] for name, values in _columns(values).items()}
    return Record(features[:regions], None if boxes is None else _numbers(boxes, regions)[:regions], size, columns)


def _columns(values: dict[Any, Any]) -> dict[str, np.ndarray]:
    found = {name: values.get(key) for name, key in DETECTED.items()}
    if found["class"] is None:
        found["class"] = values.get("objects")
        if found["class"] is not None:
            found["cls_prob"] = values.get("cls_prob")
    return detections({name: value for name, value in found.items() if value is not None})


def require_lmdb(file: Path | None = None) -> None:
    """Refuses a database where the package that reads it is not installed."""
    if not find_spec("lmdb"):
        raise DataError("reading LMDB needs the package lmdb", file=file, mend="pip install lmdb")


class LmdbSource(RecordSource[bytes]):
    """An open database."""

    parse = staticmethod(parse)

    def __init__(self, path: Path) -> None:
        self.path = path
        require_lmdb(path)
        self._process: RecordProcess | None = None
        self._listed: bytes | None = None
        self._seen: set[bytes] = set()
        self.images = None
        self.look()

    def contents(self) -> Iterator[tuple[bytes, Callable[[], bytes]]]:
        """Yields the records in the order of their keys, but for the list of all keys."""
        self._seen = set()
        for key, value in self._records():
            if key == _KEYS:
                self._listed = value
                continue
            self._seen.add(key)
            yield key, partial(bytes, value)

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images in the order of their keys; at the end ``damaged`` hears of those listed but absent."""
        yield from super().read(damaged)
        try:
            keys = [] if self._listed is None else parse_pickle(self._listed)
            listed = [key if isinstance(key, bytes) else str(key).encode() for key in keys]
        except Exception as error:
            raise self.damage(_KEYS, f"no pickled list: {type(error).__name__}: {error}") from error
        for key in listed:
            if key not in self._seen:
                damaged(self.damage(key, "listed in the database but not in it"))

    def named(self, key: bytes) -> tuple[ImageId, str]:
        """See ``RecordSource``."""
        return name_of_file(key.decode("utf-8")), "record"

    def damage(self, key: bytes, problem: str) -> DataError:
        """See ``RecordSource``."""
        return DataError(problem, file=self.path, record=f"image {key.decode('utf-8', 'replace')}")

    def _records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys and values, which another process reads: LMDB takes its own down on damaged files."""
        self.close()
        self._process = process = RecordProcess(_HELPER, [os.path.abspath(self.path)], self.path, "LMDB")
        answer = process.answer()
        if "error" in answer:
            raise DataError(f"LMDB cannot open it: {answer['error']}", file=self.path, mend="fetch the file again")
        self.images = max(1, int(answer["entries"]) - 1)
        while key_bytes := process.number():
            key = process.read(key_bytes)
            yield key, process.read(process.number())
        self.close()

    def digests(self) -> list[str]:
        """Returns the SHA-256 of the database's file."""
        return [sha256_file(_data_file(self.path))]

    def close(self) -> None:
        """Ends the reading process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


class LmdbRecords:
    """The layout's entry in the registry."""

    def detect(self, path: Path) -> bool:
        """Returns whether it is an LMDB file or a folder with one."""
        try:
            with open(_data_file(path), "rb") as file:
                head = file.read(32)
        except OSError:
            return False
        # The first page: a header of 16 bytes, then the magic number.
        return head[16:20] == _MAGIC

    def open(self, path: Path) -> LmdbSource:
        """Opens a database; DataError where LMDB cannot, or no record of it can be read."""
        return LmdbSource(path)


FORMATS.register("lmdb")(LmdbRecords())
