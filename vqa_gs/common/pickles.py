"""Reading the field's pickles without running what is in them.

The UpDn family ships indices, dictionaries and targets as pickles, some of them written by Python 2. A pickle is a
program: a helper process (`pickle_process`), limited in memory, runs it with names that build plain data only, and
hands over a tree of containers, numbers, texts and bytes; arrays are built here, from a checked type, shape and size.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.helper_process import HelperProcess

LARGEST = 4 << 30
"""A larger file is refused before it is read."""

_HELPER = HelperProcess(Path(__file__).with_name("pickle_process.py"), seconds=600)

# Numbers, texts of fixed width, objects; what has fields or units of time is none of the field's.
_DTYPE = re.compile(r"[<>|=]?(?:[biu][1248]|f[248]|c(?:8|16)|[SU]\d{1,6}|O[48]?)")

Tensor = Callable[[str, str, int, int, list[int], list[int]], Any]
"""Makes a tensor of: its type, its storage's key, how many numbers that has, offset, shape, strides."""


def parse_pickle(content: bytes) -> Any:
    """Returns what a pickle of plain data holds, Python 2 ones included (``encoding="latin1"``).

    Raises:
        Exception: it is damaged, names anything but plain containers and NumPy arrays, or builds far more than its
            size; of nearly any kind, so callers catch all and say which file and record it was.
    """
    return _answer(b"p", content, _no_tensor)[0][0]


def parse_torch_pickle(content: bytes, tensor: Tensor) -> Any:
    """Returns what the pickle inside of a torch file holds, its tensors as ``tensor`` makes them; as `parse_pickle`."""
    return _answer(b"t", content, tensor)[0][0]


def parse_torch_head(content: bytes, tensor: Tensor) -> tuple[list[Any], int]:
    """Returns the five pickles that a torch file of before 1.6 begins with, and where they end; as `parse_pickle`.

    Tensors are made before it is known where their numbers are.
    """
    return _answer(b"l", content, tensor)


def _answer(kind: bytes, content: bytes, tensor: Tensor) -> tuple[list[Any], int]:
    whole, *answer = msgspec.msgpack.decode(_HELPER.ask(kind + content))
    if not whole:
        raise pickle.UnpicklingError(answer[0].removeprefix("UnpicklingError: "))
    trees, end = answer
    return [_build(tree, tensor) for tree in trees], end


def _no_tensor(*_: Any) -> Any:
    raise pickle.UnpicklingError("a tensor in a file of plain data")


def _build(tree: Any, tensor: Tensor) -> Any:
    """Builds what a tree of the helper's describes; its forms are in ``pickle_process``."""
    if not isinstance(tree, list):
        return tree
    tag, *parts = tree
    if tag == "d":
        entries = [_build(part, tensor) for part in parts[0]]
        return dict(zip(entries[::2], entries[1::2], strict=True))
    if tag in _CONTAINERS:
        return _CONTAINERS[tag](_build(part, tensor) for part in parts[0])
    if tag == "b":
        return bytearray(parts[0])
    if tag == "i":
        return int(parts[0], 16)
    if tag == "c":
        return complex(*parts)
    if tag == "a":
        shape, dtype, order, numbers = parts
        return _array(tuple(shape), dtype, order, _build(numbers, tensor))
    if tag == "n":
        return _array((), parts[0], "C", _build(parts[1], tensor))[()]
    return tensor(*parts)


_CONTAINERS: dict[str, Callable[..., Any]] = {"l": list, "t": tuple, "s": set, "f": frozenset}


def plain_dtype(name: str) -> np.dtype[Any]:
    """Returns a type of numbers, texts or objects by its name; ValueError for all others."""
    if not _DTYPE.fullmatch(name):
        raise ValueError(f"the type {name[:20]!r} is not read from data files")
    return np.dtype(name)


def _array(shape: tuple[int, ...], name: str, order: Any, content: Any) -> npt.NDArray[Any]:
    dtype, count = plain_dtype(name), math.prod(shape)
    if dtype.hasobject:
        if not isinstance(content, list):
            content = [content]
        if count != len(content):
            raise ValueError(f"an array of shape {shape} of {len(content)} objects")
        objects = np.empty(count, object)
        objects[:] = content
        return objects.reshape(shape, order=order)
    if not isinstance(content, bytes) or count * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and type {dtype} of another number of bytes")
    # A bytearray's memory, so that the array can be written to.
    return np.frombuffer(bytearray(content), dtype, count).reshape(shape, order=order)


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
        if file.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST >> 30} GB")
        return parse_pickle(file.read_bytes())
    except Exception as error:
        raise DataError(
            f"not a readable {what} pickle: {type(error).__name__}: {error}",
            file=file,
            mend="fetch or make the file again",
        ) from error
