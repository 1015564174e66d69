"""Lists of question ids that belong together, as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pair_builders._columns import QuestionId
from vqa_gs.common.errors import DataError
from vqa_gs.data.json_files import decode, read_content

_SHAPE = "a list of [original, edited] question ids, or of objects with these two keys"


class _Named(msgspec.Struct):
    original: int | str
    edited: int | str


def read_pair_list(path: Path) -> tuple[list[tuple[QuestionId, QuestionId]], str]:
    """Reads a list of pairs, plain or gzipped.

    Returns:
        The (original, edited) question ids in the file's order, and the file's SHA-256.

    Raises:
        DataError: the file is missing, damaged or of another shape; the message names the row, from 0.
    """
    content, digest = read_content(path, "pair list")
    pairs: list[tuple[QuestionId, QuestionId]] = []
    decoder = msgspec.json.Decoder(tuple[int | str, int | str] | _Named)
    for row, raw in enumerate(decode(content, list[msgspec.Raw], file=path, expected=_SHAPE)):
        try:
            pair = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"not a pair: {error}", file=path, record=f"row {row}", mend=f"expected {_SHAPE}"
            ) from error
        pairs.append((pair.original, pair.edited) if isinstance(pair, _Named) else pair)
    return pairs, digest
