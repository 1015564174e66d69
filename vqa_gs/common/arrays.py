"""Reading NumPy's archives: what an array says of itself is compared with its bytes before anything is built."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqa_gs.common.pickles import parse_pickle, plain_dtype
from vqa_gs.common.unpacking import require_plausible_size


def unpacked_sizes(archive: zipfile.ZipFile, packed: int) -> dict[str, int]:
    """Returns the arrays' names and sizes in bytes; ValueError where they are no honest archive of ``packed`` bytes."""
    sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
    require_plausible_size(packed, sum(sizes.values()))
    return sizes


def read_member(archive: zipfile.ZipFile, name: str, *, objects: bool = False) -> Any:
    """Returns an array of an archive.

    Args:
        archive: the archive, its sizes found plausible.
        name: the array's.
        objects: take an array of objects too, unpickled with restrictions, and of one with a single object that.

    Raises:
        Exception: it is missing or damaged; of nearly any kind.
    """
    return read_npy(archive.read(f"{name}.npy"), name, objects=objects)


def read_npy(content: bytes, name: str = "the array", *, objects: bool = False) -> Any:
    """Returns the array of a .npy file's bytes; as `read_member`."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    body = content[stream.tell() :]
    if dtype.hasobject:
        if not objects:
            raise ValueError(f"{name} holds objects")
        value = parse_pickle(body)
        return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if math.prod(shape) * plain_dtype(dtype.str).itemsize != len(body):
        raise ValueError(f"{name} of shape {shape} and type {dtype} in {len(body)} bytes")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def read_npz(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Returns all arrays of an archive, none of them of objects; any Exception where it is damaged."""
    with zipfile.ZipFile(file) as archive:
        return {name: read_member(archive, name) for name in unpacked_sizes(archive, file.stat().st_size)}
