"""Pair tables as files: one HDF5 file each, as docs/architecture.md lays it out."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.table.pair_table import ALIGNMENTS, PER_PAIR, PairTable

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, write_bytes
from vqa_gs.common.hdf5 import read_texts as read_text_column
from vqa_gs.common.hdf5 import sound_dataset

FORMAT = "vqa-gs-pairs"
FORMAT_VERSION = 1
_COLUMNS = {
    **{name: f"pairs/{name}" for name in PER_PAIR},
    "first": "alignment/first",
    "rows": "alignment/rows",
    "mask_first": "masks/first",
    "mask_keep": "masks/keep",
    "region_class": "alignment/classes",
}
_OPTIONAL = ("mask_first", "mask_keep", "region_class")
"""Field of a table -> dataset in the file; those that a table may lack."""


def write_pair_table(path: StrPath, table: PairTable) -> None:
    """Writes a pair table, whole or not at all; equal tables give equal bytes.

    Raises:
        DataError: the place cannot be written to, or an id or answer cannot be kept.
    """
    # In memory first: HDF5 does not get over a full disk, and complains of it again for every object it still holds.
    content = io.BytesIO()
    # From version 1.8 on HDF5's structure has checksums; in a damaged file without, it searches for ever or crashes.
    with h5py.File(content, "w", libver=("v108", "v108")) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        write_text(file, "format", FORMAT)
        write_text(file, "settings", json.dumps(table.settings, sort_keys=True, default=str))
        write_text(file, "sources", json.dumps(table.sources, sort_keys=True))
        write_text(file, "kinds", table.kinds)
        write_text(file, "alignments", ALIGNMENTS)
        if table.region_class is not None:
            write_text(file, "class_names", table.class_names)
        file.attrs["has_answer_b"] = table.answer_b is not None
        columns: dict[str, NDArray[Any] | None] = {name: getattr(table, field) for field, name in _COLUMNS.items()}
        if table.answer_b is not None:
            own = np.array([answer is None for answer in table.answer_b], dtype=bool)
            # "" is an answer set of its own, the empty one, so "b's own answer" needs a column beside it.
            columns["pairs/has_answer_b"] = (~own).astype(np.uint8)
            columns["pairs/answer_b"] = np.where(own, "", table.answer_b)
        for name, values in columns.items():
            if values is not None:
                write_column(file, name, values)
    write_bytes(path, content.getvalue())


def read_pair_table(path: StrPath, *, require_pairs: bool = False) -> PairTable:
    """Reads a pair table.

    Args:
        path: the file.
        require_pairs: whether an empty table is an error, as it is for training.

    Raises:
        DataError: the file is missing, truncated, of another format or version, or unsound.
    """
    source = require_file(path, "pair table")
    try:
        with h5py.File(source, "r") as file:
            _check_format(file)
            answers = None
            if file.attrs["has_answer_b"]:
                answers = read_column(file, "pairs/answer_b")
                answers[read_column(file, "pairs/has_answer_b") == 0] = None
            without = {field for field in _OPTIONAL if _COLUMNS[field] not in file}
            table = PairTable(
                **{field: read_column(file, name) for field, name in _COLUMNS.items() if field not in without},
                kinds=read_texts(file, "kinds"),
                answer_b=answers,
                settings=_object(file, "settings"),
                sources=_object(file, "sources"),
                class_names=() if "region_class" in without else read_texts(file, "class_names"),
            )
    except DataError as error:
        raise DataError(error.problem, file=source, record=error.record, mend=error.mend) from error
    except Exception as error:  # a damaged file makes h5py raise anything from OSError to RuntimeError
        raise DataError(
            f"not a readable pair table: {type(error).__name__}: {error}", file=source, mend="build it again"
        ) from error
    return table.require_pairs(source) if require_pairs else table


def _check_format(file: h5py.File) -> None:
    if "format" not in file.attrs or read_texts(file, "format") != (FORMAT,):
        raise DataError("is not a pair table", mend="make one with `vqa-gs pairs build`")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        problem = f"is a pair table of version {version}, this program reads {FORMAT_VERSION}"
        raise DataError(problem, mend="build it again")
    names = read_texts(file, "alignments")
    if names != ALIGNMENTS:
        raise DataError(f"names the alignments {list(names)}, expected {list(ALIGNMENTS)}")


def write_column(file: h5py.File, name: str, column: NDArray[Any]) -> None:
    """Writes one column as a contiguous dataset, text as UTF-8 of fixed length.

    Strings of fixed length, because HDF5 keeps others in a heap of their own: larger, and slow to read.

    Raises:
        DataError: a text cannot be kept.
    """
    if column.dtype != object:
        file.create_dataset(name, data=column, track_times=False)
        return
    encoded = [_utf8(text) for text in column]
    length = max([1, *map(len, encoded)])
    data = np.array(encoded, dtype=h5py.string_dtype("utf-8", length))
    file.create_dataset(name, data=data, track_times=False)


def write_text(file: h5py.File, name: str, text: str | Sequence[str]) -> None:
    """Writes an attribute of text, of fixed length like the columns."""
    encoded = [_utf8(one) for one in ([text] if isinstance(text, str) else text)]
    kind = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    file.attrs.create(name, np.array(encoded[0] if isinstance(text, str) else encoded, dtype=kind))


def read_texts(file: h5py.File, name: str) -> tuple[str, ...]:
    """Reads an attribute of one or several texts."""
    values = np.atleast_1d(file.attrs[name]).tolist()
    return tuple(value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values)


def _object(file: h5py.File, name: str) -> dict[str, Any]:
    """Reads an attribute that is a JSON object."""
    value = json.loads(read_texts(file, name)[0])
    if not isinstance(value, dict):
        raise DataError(f"the attribute {name} holds a {type(value).__name__}, no object", mend="build it again")
    return value


def _utf8(text: str) -> bytes:
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the text {text!a} is not valid Unicode") from error
    if encoded.endswith(b"\0"):  # the padding: it would be cut off in reading
        raise DataError(f"the text {text!a} ends with a NUL character")
    return encoded


def read_column(file: h5py.File, name: str) -> NDArray[Any]:
    """Reads one column, text as objects (str).

    Raises:
        DataError: it is not there.
    """
    dataset = sound_dataset(file, name)
    if dataset is None:
        raise DataError(f"the column {name} is missing", mend="build the file again")
    if h5py.check_string_dtype(dataset.dtype) is None:
        return np.asarray(dataset[()])
    return read_text_column(dataset)
