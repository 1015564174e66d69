"""A process that reads records for this one, because the library that reads them trusts its files.

HDF5, Arrow, zarr's codecs and LMDB crash, hang or ask for terabytes on damaged files. A script reads them with limits
on memory and writes what it finds to its standard output; it imports nothing of this package.
"""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vqa_gs.common.errors import DataError
from vqa_gs.common.fork_server import ForkServer, ForkServerLost
from vqa_gs.common.pickles import plain_dtype
from vqa_gs.common.unpacking import FREE, RATIO

SECONDS = 120
"""How long a library may take for its next record."""

LARGEST = 1 << 30
"""A record of more bytes is damage."""

_MEND = "fetch the file again"
_ARRAYS = Path(__file__).with_name("arrays_process.py")


@cache
def _server(script: Path, *ready_for: str) -> ForkServer:
    return ForkServer(script, *ready_for)


class RecordProcess:
    """A running script; its output is read piece by piece.

    Args:
        script: the file, as a `ForkServer` wants it.
        words: its arguments.
        path: what it reads, for messages.
        library: who reads, for messages.
        ready_for: what it prepares for.
    """

    def __init__(self, script: Path, words: list[str], path: Path, library: str, *ready_for: str) -> None:
        self._path, self._library = path, library
        try:
            self._process = _server(script, *ready_for).start(words)
        except ForkServerLost as error:
            raise DataError(f"damaged or truncated: {library}: {error.problem}", file=path, mend=_MEND) from error

    def read(self, count: int) -> bytes:
        """Returns the next bytes; DataError where the process ends or hangs before them."""
        pipe = self._process.pipe
        content = bytearray(count)
        rest = memoryview(content)
        while rest:
            ready, _, _ = select.select([pipe], [], [], SECONDS)
            done = os.readv(pipe, [rest]) if ready else 0
            if done == 0:
                what = "ended" if ready else f"did not come to its next record in {SECONDS} s"
                raise DataError(f"damaged or truncated: {self._library} {what}", file=self._path, mend=_MEND)
            rest = rest[done:]
        return bytes(content)

    def number(self) -> int:
        """Returns the next number of eight bytes; DataError where it is more than a record has bytes."""
        (number,) = struct.unpack("<Q", self.read(8))
        if number > LARGEST:
            raise DataError(f"a record of {number} bytes", file=self._path, mend=_MEND)
        return int(number)

    def answer(self) -> dict[str, Any]:
        """Returns the next object of JSON, whose length stands before it."""
        content: dict[str, Any] = json.loads(self.read(self.number()))
        return content

    def close(self) -> None:
        """Ends the process."""
        self._process.close()


class ArrayProcess:
    """Arrays by name, of one image after the other, that ``arrays_process.py`` reads.

    Args:
        kind: of files: ``"hdf5-groups"``, ``"hdf5-names"``, ``"arrow"`` or ``"zarr"``.
        path: the file or folder.
        library: who reads, for messages.
        beside: a further file or folder that belongs to it.

    Attributes:
        images: how many images there are, about; None where only reading tells.
    """

    def __init__(self, kind: str, path: Path, library: str, beside: Path | None = None) -> None:
        words = [kind, os.path.abspath(path), "" if beside is None else os.path.abspath(beside)]
        self._path, self._library = path, library
        limits = [str(RATIO), str(FREE), str(LARGEST)]
        self._process = RecordProcess(_ARRAYS, [*words, *limits], path, library, kind)
        try:
            head = self._process.answer()
            if "error" in head:
                raise DataError(f"{library} cannot read it: {head['error']}", file=path, mend=head.get("mend", _MEND))
        except BaseException:
            self._process.close()
            raise
        self.images: int | None = head["images"]

    def __iter__(self) -> Iterator[tuple[int | str, dict[str, np.ndarray] | ValueError]]:
        """Yields each image's key, and its arrays or what is wrong with them."""
        try:
            while head := self._process.answer():
                if "key" not in head:
                    raise DataError(f"damaged or truncated: {head['error']}", file=self._path, mend=_MEND)
                if "error" in head:
                    yield head["key"], ValueError(head["error"])
                    continue
                yield head["key"], {name: self._array(kind, shape) for name, kind, shape in head["parts"]}
        finally:
            self.close()

    def _array(self, kind: str, shape: list[int]) -> np.ndarray:
        dtype = plain_dtype(kind)
        if dtype.hasobject:
            raise DataError("an array of objects", file=self._path)
        content = self._process.read(self._process.number())
        return np.frombuffer(content, dtype).reshape(shape)

    def close(self) -> None:
        """Ends the process."""
        self._process.close()
