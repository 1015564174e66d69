"""A process that reads records for this one, because the library that reads them trusts its files.

HDF5, Arrow, zarr's codecs and LMDB crash, hang or ask for terabytes on damaged files. A script reads them with limits
on memory and writes what it finds to its standard output; it imports nothing of this package.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vqa_gs.common.errors import DataError
from vqa_gs.common.pickles import plain_dtype
from vqa_gs.common.unpacking import FREE, RATIO

SECONDS = 120
"""How long a library may take for its next record."""

LARGEST = 1 << 30
"""A record of more bytes is damage."""

_MEND = "fetch the file again"
_ARRAYS = Path(__file__).with_name("arrays_process.py")


class RecordProcess:
    """A running script; its output is read piece by piece.

    Args:
        script: the file.
        words: its arguments.
        path: what it reads, for messages.
        library: who reads, for messages.
    """

    def __init__(self, script: Path, words: list[str], path: Path, library: str) -> None:
        self._path, self._library = path, library
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # others reserve more than they use
        self._process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def read(self, count: int) -> bytes:
        """Returns the next bytes; DataError where the process ends or hangs before them."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
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
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


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
        self._process = RecordProcess(_ARRAYS, [*words, str(RATIO), str(FREE), str(LARGEST)], path, library)
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
