"""What a stranger's HDF5 says of itself, held against the bytes it has.

HDF5 lets a file of a kilobyte describe a terabyte: chunks that were never written, datasets that are views of others or
lie in other files, links that lead elsewhere, a million texts that are the same one. Honest data files have none of it.
"""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError
from vqa_gs.common.unpacking import most_unpacked

_AT_ONCE = 256


def sound_dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Returns a dataset whose numbers are in the file, about as many as it says; None where there is none.

    Args:
        file: the open file.
        name: the dataset's path in it.

    Raises:
        DataError: it lies elsewhere, is a view of others, ends behind the end of the file, or is far larger than
            what is stored of it. The error names no file.
    """
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        link = file.get("/".join(parts[:end]), getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{name} is a link to another place", mend="copy the numbers into the file")
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.is_virtual or dataset.external:
        raise DataError(f"the numbers of {name} lie in other files", mend="copy them into the file")
    there = os.stat(file.filename).st_size
    size = dataset.size * dataset.dtype.itemsize
    offset = dataset.id.get_offset() if dataset.chunks is None else None
    # Checked before anything is read: a damaged shape must not become a huge allocation.
    if offset is not None and offset + size > there:
        raise DataError(
            f"truncated: {name} ends at byte {offset + size}, the file at {there}", mend="copy the file again"
        )
    # Chunks may overlap in the file, so that all of them together have more bytes than it.
    stored = min(dataset.id.get_storage_size(), there)
    chunk = int(np.prod(dataset.chunks or (0,), dtype=object)) * dataset.dtype.itemsize
    if max(size, chunk) > most_unpacked(stored):
        raise DataError(
            f"{name} of shape {dataset.shape} has {size:,} bytes, of which {stored:,} are stored",
            mend="is it the file you mean? Its numbers were never written",
        )
    return dataset


def read_texts(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """Reads a dataset of texts as objects (str), those of variable length within a bound.

    Raises:
        DataError: many of them are one and the same long text.
    """
    texts = dataset.asstr(errors="strict")
    if dataset.dtype.kind != "O" or dataset.ndim != 1:
        return np.asarray(texts[()], dtype=object)
    left = most_unpacked(os.stat(dataset.file.filename).st_size)
    read = np.empty(len(dataset), object)
    for start in range(0, len(dataset), _AT_ONCE):
        read[start : start + _AT_ONCE] = block = texts[start : start + _AT_ONCE]
        left -= sum(map(len, block))
        if left < 0:
            raise DataError(f"the texts of {dataset.name.lstrip('/')} are longer than the file can hold")
    return read
