"""Rows of tables in the shapes that benchmarks are shared in: a JSON list, JSON lines, CSV, Parquet.

Only the columns that are asked for are looked at, so that images beside them (Hugging Face keeps them in the same
table) cost nothing.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file, sha256_file
from vqa_gs.common.helper_process import HelperLost, HelperProcess
from vqa_gs.common.unpacking import most_unpacked
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId

MOST_ROWS = 2_000_000
"""The largest such table in use has a hundredth of that."""

_PARQUET = b"PAR1"
_SECONDS = 120.0
_HELPER = HelperProcess(Path(__file__).with_name("parquet_process.py"), _SECONDS)
# A cell holds a question or an answer; more is a file that is no such table.
_LONGEST = 1 << 20

Row = Mapping[str, Any]


def read_table_rows(path: StrPath, columns: Sequence[str], what: str) -> tuple[list[Row], str]:
    """Reads some columns of a table, told by its content: JSON and JSON lines (plain or gzipped), CSV, Parquet.

    Args:
        path: the file.
        columns: the columns that are wanted; rows lack those the file lacks.
        what: what it is to hold, for messages ("questions of MMVP").

    Returns:
        The rows, and the file's SHA-256.

    Raises:
        DataError: the file is missing, damaged, empty, or no such table; the message names the row, from 0.
        UsageError: it is Parquet and pyarrow is not installed.
    """
    file = require_file(path, what)
    with open(file, "rb") as stream:
        begin = stream.read(len(_PARQUET))
    if begin == _PARQUET:
        rows, digest = _parquet(file, columns), sha256_file(file)
    else:
        content, digest = read_content(file, what)
        if content.lstrip()[:1] in (b"[", b"{"):
            rows = _json(content, columns, file, what)
        else:
            rows = _csv(content, columns, file)
    if not rows:
        raise DataError("has no rows", file=file, mend=f"expected {what} with the columns {', '.join(columns)}")
    if len(rows) > MOST_ROWS:
        raise DataError(f"more than {MOST_ROWS:,} rows", file=file, mend="split it")
    return rows, digest


def _json(content: bytes, columns: Sequence[str], file: Path, what: str) -> list[Row]:
    wanted = set(columns)
    if content.lstrip().startswith(b"["):
        raws = decode(content, list[msgspec.Raw], file=file, expected=f"a list of {what}")
    else:
        raws = [msgspec.Raw(line) for line in content.splitlines() if line.strip()]
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    rows: list[Row] = []
    for number, raw in enumerate(raws):
        try:
            row = {name: msgspec.json.decode(value) for name, value in decoder.decode(raw).items() if name in wanted}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f"not a row: {error}", file=file, record=f"row {number}", mend="expected an object of columns"
            ) from error
        rows.append(row)
    return rows


def _csv(content: bytes, columns: Sequence[str], file: Path) -> list[Row]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"is not text in UTF-8: {error}", file=file, mend="save it as UTF-8") from error
    csv.field_size_limit(_LONGEST)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",")
    rows: list[Row] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        places = [(name, header.index(name)) for name in columns if name in header]
        if not places:
            raise DataError(f"has none of the columns {', '.join(columns)}", file=file, mend="is it the right file?")
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if len(cells) < len(header):
                raise DataError(
                    f"{len(cells)} cells where the header has {len(header)}",
                    file=file,
                    record=f"line {reader.line_num}",
                    mend="copy or fetch it again",
                )
            rows.append({name: cells[place].strip() for name, place in places})
    except csv.Error as error:
        raise DataError(f"damaged CSV: {error}", file=file, record=f"line {reader.line_num}") from error
    return rows


def _parquet(file: Path, columns: Sequence[str]) -> list[Row]:
    request = [os.path.abspath(file), list(columns), most_unpacked(file.stat().st_size), MOST_ROWS]
    try:
        answer = json.loads(_HELPER.ask(json.dumps(request).encode("utf-8")))
    except HelperLost as error:
        answer = {"error": error.problem}
    if "missing" in answer:
        raise UsageError(f"{file} is Parquet, which needs pyarrow", mend="pip install pyarrow")
    if "error" in answer:
        raise DataError(f"not readable Parquet: {answer['error']}", file=file, mend="copy or fetch it again")
    found = answer["columns"]
    if not found:
        raise DataError(
            f"has none of the columns {', '.join(columns)}",
            file=file,
            mend=f"it has {', '.join(answer['names'])}",
        )
    return [dict(zip(found, cells, strict=True)) for cells in zip(*found.values(), strict=True)]


def cell_text(row: Row, file: StrPath, number: int, *names: str) -> str:
    """Returns the text of a cell, numbers written out.

    Args:
        row: the row.
        file: where it is from, for messages.
        number: which row it is, from 0.
        names: the column, under each of the names it is known by.

    Raises:
        DataError: it is missing, empty or no text.
    """
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f"{'has no' if value is None else 'has an odd'} {names[0]}",
            file=file,
            record=f"row {number}",
            mend=f"expected a text in the column {' or '.join(names)}",
        )
    return value.strip()


def cell_id(row: Row, number: int, *names: str) -> QuestionId:
    """Returns the id in a row, a whole number where it is one; the row's number where there is none."""
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 18 and text == str(int(text)) else text
    return number
