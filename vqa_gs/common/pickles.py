"""Reading the field's pickles without running what is in them.

The UpDn family ships indices, dictionaries and targets as pickles, some of them written by Python 2. A pickle is a
program; this reader executes only the opcodes that build plain containers, numbers, strings and NumPy arrays.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file

_ALLOWED = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("__builtin__", "set"),
    ("__builtin__", "frozenset"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed in a data file")
        return super().find_class(module, name)


def _refuse_memory_bombs(content: bytes) -> None:
    """Refuses memo indices beyond the file's length: CPython allocates a table up to the index it is told."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(content):
            raise pickle.UnpicklingError(f"memo index {argument} in a file of {len(content)} bytes")


def parse_pickle(content: bytes) -> Any:
    """Returns what a pickle of plain data holds, Python 2 ones included (``encoding="latin1"``).

    Raises:
        Exception: it is damaged, or names anything but plain containers and NumPy arrays; of nearly any kind, from
            EOFError to KeyError, so callers catch all and say which file and record it was.
    """
    _refuse_memory_bombs(content)
    return _RestrictedUnpickler(io.BytesIO(content), encoding="latin1").load()


def load_pickle(path: StrPath, what: str = "pickle") -> Any:
    """Loads a file with a pickle of plain data, as ``parse_pickle``.

    Args:
        path: the file.
        what: what the file is to hold, for the message.

    Raises:
        DataError: the file is missing, damaged, or names anything but plain containers and NumPy arrays.
    """
    file = require_file(path, what)
    try:
        return parse_pickle(file.read_bytes())
    except Exception as error:
        raise DataError(
            f"not a readable {what} pickle: {type(error).__name__}: {error}",
            file=file,
            mend="fetch or make the file again",
        ) from error
