"""Just enough Parquet to read one column of strings, so that a word list needs no further dependency.

What is read: a file with a single column of UTF-8 strings without nulls, plain or dictionary encoded, stored
as is or in Snappy blocks. Sources: the Parquet format description (apache/parquet-format: thrift compact
protocol, page headers, RLE / bit-packing hybrid) and Google's description of the Snappy format.
"""

from __future__ import annotations

import struct
from typing import Any

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file

_MAGIC = b"PAR1"
_BYTE_ARRAY = 6
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_PLAIN, _DICTIONARY_ENCODINGS = 0, (2, 8)
_STORED, _SNAPPY = 0, 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _thrift_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # in a struct the type itself is the truth value
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        value, at = _varint(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == 7:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind in (9, 10):
        head = data[at]
        at += 1
        length, kind = head >> 4, head & 0x0F
        if length == 15:
            length, at = _varint(data, at)
        values = []
        for _ in range(length):
            value, at = _thrift_value(data, at, 3 if kind in (1, 2) else kind)
            values.append(value)
        return values, at
    if kind == 12:
        return _thrift_struct(data, at)
    raise ValueError(f"thrift type {kind}")


def _thrift_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Reads a struct in thrift's compact protocol: its fields by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            coded, at = _varint(data, at)
            number = (coded >> 1) ^ -(coded & 1)
        fields[number], at = _thrift_value(data, at, head & 0x0F)


def unpack_snappy(block: bytes) -> bytes:
    """Unpacks a raw Snappy block.

    Raises:
        ValueError: the block is damaged.
    """
    length, at = _varint(block, 0)
    out = bytearray()
    while at < len(block):
        tag = block[at]
        at += 1
        size = (tag >> 2) + 1
        if tag & 3 == 0:
            if size > 60:
                extra = size - 60
                size = int.from_bytes(block[at : at + extra], "little") + 1
                at += extra
            out += block[at : at + size]
            at += size
            continue
        if tag & 3 == 1:
            size = ((tag >> 2) & 7) + 4
            offset = (tag >> 5) << 8 | block[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            offset = int.from_bytes(block[at : at + width], "little")
            at += width
        if not 0 < offset <= len(out):
            raise ValueError("a Snappy copy from before the start")
        start = len(out) - offset
        piece = bytes(out[start : start + size])
        # A copy may reach into what it is writing: the piece then repeats.
        out += (piece * (size // len(piece) + 1))[:size]
    if len(out) != length:
        raise ValueError(f"a Snappy block of {len(out)} instead of {length} bytes")
    return bytes(out)


def _hybrid(data: bytes, at: int, width: int, count: int) -> list[int]:
    """Reads ``count`` numbers of ``width`` bits in runs, each repeated or bit-packed in groups of eight."""
    values: list[int] = []
    size, mask = (width + 7) // 8, (1 << width) - 1
    while len(values) < count:
        head, at = _varint(data, at)
        if head & 1:
            groups = head >> 1
            packed = int.from_bytes(data[at : at + groups * width], "little")
            at += groups * width
            # Group by group: shifting the whole run anew for each number would be quadratic.
            for _ in range(groups):
                values.extend((packed >> shift) & mask for shift in range(0, 8 * width, width or 1))
                packed >>= 8 * width
        else:
            values.extend([int.from_bytes(data[at : at + size], "little")] * (head >> 1))
            at += size
    return values[:count]


def _plain_strings(data: bytes, at: int, count: int) -> list[str]:
    texts = []
    for _ in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ValueError("a string runs past its page")
        texts.append(data[at + 4 : end].decode("utf-8"))
        at = end
    return texts


def _column(data: bytes, chunk: dict[int, Any], optional: bool) -> list[str]:
    """Reads the pages of one column chunk (its `ColumnMetaData`)."""
    codec, total = chunk[4], chunk[5]
    if chunk[1] != _BYTE_ARRAY or codec not in (_STORED, _SNAPPY):
        raise ValueError(f"a column of type {chunk[1]} in codec {codec}")
    at = min(chunk.get(11, chunk[9]), chunk[9])
    texts: list[str] = []
    words: list[str] = []
    while len(texts) < total:
        header, start = _thrift_struct(data, at)
        at = start + header[3]
        page = data[start:at] if codec == _STORED else unpack_snappy(data[start:at])
        if header[1] == _DICTIONARY_PAGE:
            words = _plain_strings(page, 0, header[7][1])
            continue
        if header[1] != _DATA_PAGE:
            raise ValueError(f"a page of type {header[1]}")
        count, encoding = header[5][1], header[5][2]
        within = 0
        if optional:
            within = 4 + int.from_bytes(page[:4], "little")
            if not all(_hybrid(page, 4, 1, count)):
                raise ValueError("a null among the strings")
        if encoding == _PLAIN:
            texts += _plain_strings(page, within, count)
        elif encoding in _DICTIONARY_ENCODINGS:
            texts += [words[index] for index in _hybrid(page, within + 1, page[within], count)]
        else:
            raise ValueError(f"encoding {encoding}")
    return texts


def read_strings(path: StrPath) -> list[str]:
    """Reads the strings of a Parquet file with one column of them.

    Raises:
        DataError: the file is missing, damaged, or uses a part of Parquet that this reader leaves out.
    """
    file = require_file(path, "Parquet")
    data = file.read_bytes()
    try:
        if len(data) < 12 or not data.startswith(_MAGIC) or not data.endswith(_MAGIC):
            raise ValueError("no Parquet file, or cut off")
        size = struct.unpack_from("<I", data, len(data) - 8)[0]
        footer, _ = _thrift_struct(data, len(data) - 8 - size)
        leaves = [element for element in footer[2] if 1 in element]
        if len(leaves) != 1:
            raise ValueError(f"{len(leaves)} columns instead of one")
        texts: list[str] = []
        for group in footer[4]:
            texts += _column(data, group[1][0][3], optional=leaves[0].get(3, 0) == 1)
        if len(texts) != footer[3]:
            raise ValueError(f"{len(texts)} rows instead of {footer[3]}")
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise DataError(
            f"not readable as one Parquet column of strings: {error}",
            file=file,
            mend="install the package again, or give the vectors as GloVe text",
        ) from error
    return texts
