"""Reading JSON files that may be gzipped, with one-line errors for every way they can be damaged."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any, TypeVar

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.unpacking import gunzip

T = TypeVar("T")

LARGEST = 16 << 30
"""A larger file is refused before it is read: the largest in use, dense predictions, have a tenth of that."""

_DEEPEST = 64

GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_content(path: StrPath, what: str) -> tuple[bytes, str]:
    """Reads a file whole and unpacks it if it is gzipped, whatever its name.

    Args:
        path: the file.
        what: what it is to hold, for messages ("questions").

    Returns:
        The unpacked bytes, and the SHA-256 of the file as it lies on disk (64 hex digits).

    Raises:
        DataError: the file is missing, unreadable, empty, or a damaged or cut off gzip.
    """
    file = require_file(path, what)
    if file.stat().st_size > LARGEST:
        raise DataError(f"more than {LARGEST >> 30} GB", file=file, mend="split it")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=file) from error
    digest = hashlib.sha256(content).hexdigest()
    # By content, not by name: downloads lose or gain ".gz" on the way.
    if content.startswith(GZIP_MAGIC):
        try:
            content = gunzip(content)
        except EOFError as error:
            raise DataError("the gzip ends too early", file=file, mend="copy or fetch it again") from error
        except (OSError, zlib.error, ValueError) as error:
            raise DataError(f"damaged gzip: {error}", file=file, mend="copy or fetch it again") from error
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if not content or content.isspace():
        raise DataError("is empty", file=file, mend="copy or fetch it again")
    return content, digest


def decode(content: bytes, kind: type[T], *, file: StrPath, expected: str) -> T:
    """Decodes JSON into ``kind``.

    Args:
        content: JSON in UTF-8.
        kind: the type to decode into, anything msgspec understands.
        file: where the content came from, for messages.
        expected: the shape in words ("a list of results"), for messages.

    Raises:
        DataError: it is no JSON, or JSON of another shape; the record is the path msgspec gives.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `")
        raise DataError(
            f"not {expected}: {_lower_first(problem)}",
            file=file,
            record=place.rstrip("`") or None,
            mend=f"expected {expected}",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"not valid JSON: {_lower_first(str(error))}", file=file, mend="copy or fetch it again"
        ) from error
    except RecursionError as error:
        raise DataError("JSON nested too deeply", file=file, mend=f"expected {expected}") from error


def decode_any(content: bytes, *, file: StrPath, expected: str) -> Any:
    """Decodes JSON of no fixed shape, as `decode`; what is nested too deeply for its readers is refused."""
    value = decode(content, Any, file=file, expected=expected)
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise DataError("JSON nested too deeply", file=file, mend=f"expected {expected}")
        inner = [part for part in level if isinstance(part, dict | list)]
        level = [entry for part in inner for entry in (part.values() if isinstance(part, dict) else part)]
    return value


def record_id(content: bytes | msgspec.Raw, key: str) -> str | None:
    """Finds the id in a JSON record too damaged to decode, so that its message can name it.

    Args:
        content: the record's JSON.
        key: the field that holds the id ("question_id").

    Returns:
        The id as text, or None if there is none.
    """
    match = re.search(rb'"' + key.encode() + rb'"\s*:\s*("[^"]*"|-?\d+)', bytes(content))
    return None if match is None else match.group(1).decode("utf-8", "replace").strip('"')


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
