"""What ``torch.save`` wrote, read without torch: its pickle in the helper for pickles, its numbers here, all checked.

Since torch 1.6 a file is a ZIP archive, never compressed: ``NAME/data.pkl``, and a storage's numbers in
``NAME/data/KEY``. Before, it is five pickles (a magic number, the protocol, about the system, the object, the storages'
keys), then for each storage how many numbers it has (int64) and the numbers.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from typing import Any

import numpy as np

from vqa_gs.common.pickles import parse_torch_head, parse_torch_pickle, plain_dtype

_MAGIC = 0x1950A86A20F9469CFC6C


class _Later:
    """A tensor of an old file, whose numbers come after the pickles."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


def read_torch(content: bytes) -> Any:
    """Returns what a torch file holds, tensors as NumPy arrays.

    Raises:
        Exception: it is damaged, or holds anything but plain data, arrays and tensors; of nearly any kind.
    """
    if not content.startswith(b"PK"):
        return _read_old(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("its parts are compressed, which torch never does")
        head = next((name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")), None)
        if head is None:
            raise ValueError("an archive without data.pkl")
        folder = head.removesuffix("data.pkl")

        def tensor(dtype: str, key: str, *parts: Any) -> np.ndarray:
            return _tensor(archive.read(f"{folder}data/{key}"), dtype, *parts)

        return parse_torch_pickle(archive.read(head), tensor)


def _read_old(content: bytes) -> Any:
    (magic, _, _, saved, keys), place = parse_torch_head(content, _Later)
    if magic != _MAGIC:
        raise ValueError("no torch file")
    found = {later.parts[1]: later.parts for later in _laters(saved)}
    storages = {}
    for key in map(str, keys):
        (numbers,) = struct.unpack_from("<q", content, place)
        # A key that no tensor has ends the search: how wide its numbers are is not known.
        dtype = plain_dtype(found[key][0])
        end = place + 8 + numbers * dtype.itemsize
        if numbers < 0 or end > len(content):
            raise ValueError("the file ends within a tensor")
        storages[key] = content[place + 8 : end]
        place = end
    return _filled(saved, storages)


def _laters(value: Any) -> list[_Later]:
    if isinstance(value, _Later):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [later for part in inner for later in _laters(part)]


def _filled(value: Any, storages: dict[str, bytes]) -> Any:
    if isinstance(value, _Later):
        dtype, key, *parts = value.parts
        return _tensor(storages[key], dtype, *parts)
    if isinstance(value, dict):
        return {key: _filled(part, storages) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_filled(part, storages) for part in value)
    return value


def _tensor(content: bytes, name: str, numbers: int, offset: int, shape: list[int], strides: list[int]) -> np.ndarray:
    """Returns a tensor; ValueError where its shape and strides leave its storage, or repeat parts of it."""
    dtype = plain_dtype(name)
    values = np.frombuffer(content, dtype)
    if len(values) < numbers or len(shape) != len(strides):
        raise ValueError(f"a tensor of {numbers} numbers in {len(content)} bytes")
    if 0 in shape:
        return np.zeros(shape, dtype)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if last >= len(values) or math.prod(shape) > len(values):
        raise ValueError(f"a tensor of shape {tuple(shape)} in a storage of {len(values)} numbers")
    bytes_apart = [stride * dtype.itemsize for stride in strides]
    return np.array(np.lib.stride_tricks.as_strided(values[offset:], shape, bytes_apart))
