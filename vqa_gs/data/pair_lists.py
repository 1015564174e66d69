"""Lists of question ids that belong together, as JSON: complementary pairs, (original, edited) pairs."""

from __future__ import annotations

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId

_SHAPE = "a list of pairs of question ids, or of objects with the keys original and edited"


class _Named(msgspec.Struct):
    original: QuestionId
    edited: QuestionId


def read_pair_list(path: StrPath) -> tuple[list[tuple[QuestionId, QuestionId]], str]:
    """Reads a list of pairs of question ids, plain or gzipped; VQA v2's complementary pairs come in this form.

    Returns:
        The pairs in the file's order, and the file's SHA-256.

    Raises:
        DataError: the file is missing, damaged, empty or of another shape, or pairs a question with itself; the
            message names the row, from 0.
    """
    content, digest = read_content(path, "pair list")
    pairs: list[tuple[QuestionId, QuestionId]] = []
    decoder = msgspec.json.Decoder(tuple[QuestionId, QuestionId] | _Named)
    for row, raw in enumerate(decode(content, list[msgspec.Raw], file=path, expected=_SHAPE)):
        try:
            pair = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"not a pair: {error}", file=path, record=f"row {row}", mend=f"expected {_SHAPE}"
            ) from error
        one, other = (pair.original, pair.edited) if isinstance(pair, _Named) else pair
        if one == other:
            raise DataError(
                f"question {one!r} is paired with itself", file=path, record=f"row {row}", mend="drop the row"
            )
        pairs.append((one, other))
    if not pairs:
        raise DataError("holds no pairs", file=path, mend="give at least one pair of question ids")
    return pairs, digest
