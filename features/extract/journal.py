"""The record of finished batches beside an unfinished store: a killed extraction goes on where it was.

A header says what the batches were made with; each batch follows with a checksum. What was cut off by the
kill, and everything behind it, is dropped on opening.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from vqa_gs.features import layout
from vqa_gs.features.extract.regions import Described

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import open_own

_VERSION = 2
_LONGEST_HEAD = 1 << 20
_FRAME = struct.Struct("<IQI")  # bytes of the head, bytes of the body, CRC-32 of both


@dataclass(frozen=True)
class Batch:
    """The outcome of one batch, of which B images could be read.

    Attributes:
        positions: B places in the batch.
        sizes: B widths and heights.
        regions: B images' regions.
        failures: places of the others, and what is wrong with each.
    """

    positions: Sequence[int]
    sizes: Sequence[tuple[int, int]]
    regions: Sequence[Described]
    failures: Sequence[tuple[int, str]] = ()


def _journal_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.journal")


def header_of(out: Path) -> bytes:
    """Returns what the journal beside ``out`` says it was made with, b"" where it says nothing.

    Raises:
        OSError: there is none.
    """
    with open(_journal_of(out), "rb") as file:
        frame = file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return b""
        length, _, checksum = _FRAME.unpack(frame)
        head = file.read(min(length, _LONGEST_HEAD))
        return head if zlib.crc32(head) == checksum else b""


class Journal:
    """Finished batches in a hidden file beside ``out``; a context manager.

    Batches are asked for in order. As soon as one was made from other input, it and all behind it are
    forgotten.

    Args:
        out: the store being made.
        made_with: what every batch depends on; a journal of something else is thrown away.
        dim: numbers a region.
        dtype: the store's type.
        columns: the store's columns.
    """

    def __init__(
        self, out: Path, made_with: dict[str, Any], dim: int, dtype: np.dtype, columns: Sequence[str] = ()
    ) -> None:
        self.path = _journal_of(out)
        self._out = out
        self._made_with = json.dumps({"journal": _VERSION, **made_with}, sort_keys=True).encode()
        self._dim = dim
        self._dtype = dtype
        self._columns = {name: layout.COLUMNS[name] for name in columns}
        self._replaying = True
        self._file: BinaryIO

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(open_own(self.path, os.O_RDWR | os.O_CREAT), "r+b")
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", file=self._out, mend="choose a writable place"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UsageError(
                "another extraction is writing this store",
                file=self._out,
                mend="wait for it or choose another",
            ) from error
        if self._read() != (self._made_with, b""):
            self._forget(0)
            self._write(self._made_with, b"")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        header = _FRAME.size + len(self._made_with)
        if kind is None or os.fstat(self._file.fileno()).st_size <= header:
            with suppress(FileNotFoundError):
                self.path.unlink()
        self._file.close()

    def replay(self, key: str) -> Batch | None:
        """Returns the next finished batch if it was made from the input of this key, else None for good."""
        if not self._replaying:
            return None
        start = self._file.tell()
        record = self._read()
        batch = None if record is None else self._decode(record[0], record[1], key)
        if batch is None:
            self._replaying = False
            self._forget(start)
        return batch

    def append(self, key: str, batch: Batch) -> None:
        """Adds a finished batch; it survives the process being killed, not the machine."""
        head = {
            "key": key,
            "positions": batch.positions,
            "sizes": batch.sizes,
            "counts": [len(found.boxes) for found in batch.regions],
            "failures": batch.failures,
        }
        parts = [np.ascontiguousarray(found.boxes, "<f4") for found in batch.regions]
        parts += [np.ascontiguousarray(found.features, self._dtype) for found in batch.regions]
        for name, kind in self._columns.items():
            parts += [np.ascontiguousarray(found.columns[name], kind) for found in batch.regions]
        self._write(json.dumps(head).encode(), b"".join(part.tobytes() for part in parts))

    def _decode(self, head: bytes, body: bytes, key: str) -> Batch | None:
        facts = json.loads(head)
        if facts.get("key") != key:
            return None
        counts, at = facts["counts"], 0
        split = np.cumsum(counts)[:-1]

        def take(kind: np.dtype, width: int) -> list[np.ndarray]:
            nonlocal at
            values = np.frombuffer(body, kind, width * sum(counts), at)
            at += values.nbytes
            return np.split(values.reshape(-1, width), split) if counts else []

        boxes, features = take(np.dtype("<f4"), 4), take(self._dtype, self._dim)
        columns = {name: take(kind, 1) for name, kind in self._columns.items()}
        return Batch(
            positions=facts["positions"],
            sizes=[(int(width), int(height)) for width, height in facts["sizes"]],
            regions=[
                Described(boxes[i], {name: parts[i][:, 0] for name, parts in columns.items()}, features=features[i])
                for i in range(len(counts))
            ],
            failures=[(int(position), str(message)) for position, message in facts["failures"]],
        )

    def _write(self, head: bytes, body: bytes) -> None:
        try:
            self._file.write(_FRAME.pack(len(head), len(body), zlib.crc32(body, zlib.crc32(head))) + head + body)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}",
                file=self.path,
                mend="make room or choose another disk",
            ) from error

    def _read(self) -> tuple[bytes, bytes] | None:
        """Returns the next record; None at the end and where the file is cut off or damaged."""
        frame = self._file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return None
        head_bytes, body_bytes, checksum = _FRAME.unpack(frame)
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if head_bytes + body_bytes > left:
            return None
        head, body = self._file.read(head_bytes), self._file.read(body_bytes)
        return (head, body) if zlib.crc32(body, zlib.crc32(head)) == checksum else None

    def _forget(self, position: int) -> None:
        self._file.seek(position)
        self._file.truncate()
