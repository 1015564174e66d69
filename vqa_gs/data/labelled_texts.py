"""Labelled texts in tab-separated files: reviews with a sentiment, pairs of sentences with an inference label.

The form of Kaushik, Hovy and Lipton, *Learning the Difference that Makes a Difference with Counterfactually-Augmented
Data* (ICLR 2020): a header, then a text (or two) and a label a row, quoted as CSV is. A column ``batch_id`` says which
rows are edits of one text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, sha256_file

GROUP = "batch_id"

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_NOT = re.compile(r"n't\b")
_WORD = re.compile(r"n't\b|'?[^\W_]+|[.!]")
# A few reviews are longer than the reader's own limit of 131,072 characters would allow in the worst file.
_LONGEST = 1 << 24


@dataclass(frozen=True)
class LabelledTexts:
    """The rows of a file.

    Attributes:
        file: where they came from.
        texts: a tuple of texts a row.
        labels: the label of each row.
        groups: the group of each row, None without a column ``batch_id``.
        sha256: of the file.
    """

    file: str
    texts: list[tuple[str, ...]]
    labels: list[str]
    groups: list[str] | None
    sha256: str

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(path: StrPath, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Reads the texts of a file, whether it has labels or not; see `read_labelled_texts`."""
    return read_labelled_texts(path, columns, None, ()).texts


def read_labelled_texts(
    path: StrPath, columns: Sequence[str], label: str | None, labels: Sequence[str]
) -> LabelledTexts:
    """Reads a file.

    Args:
        path: tab-separated, UTF-8, with a header; other columns are ignored.
        columns: the columns of texts.
        label: the column of labels; None: they do not matter, and are "".
        labels: the labels there may be.

    Raises:
        DataError: the file is missing, lacks a column, or a row has too few cells, an empty text or another label.
    """
    file = require_file(path, "labelled texts")
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not text in UTF-8: {error}", file=file) from error
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(io.StringIO(content, newline=""), delimiter="\t")
    texts: list[tuple[str, ...]] = []
    found: list[str] = []
    groups: list[str] = []
    header: list[str] = []
    needed = (*columns, *([label] if label is not None else []))
    try:
        header = next(rows, [])
        missing = [name for name in needed if name not in header]
        if missing:
            raise DataError(
                f"has no column {missing[0]!r}",
                file=file,
                mend=f"expected tab-separated columns {', '.join(needed)}",
            )
        places = [header.index(name) for name in columns]
        at_label = None if label is None else header.index(label)
        at_group = header.index(GROUP) if GROUP in header else None
        for row in rows:
            if not row:
                continue
            record = f"line {rows.line_num}"
            if len(row) < len(header):
                raise DataError(f"{len(row)} cells where the header has {len(header)}", file=file, record=record)
            named = "" if at_label is None else row[at_label]
            if at_label is not None and named not in labels:
                raise DataError(
                    f"the label is {named[:40]!r}", file=file, record=record, mend=f"use {', '.join(labels)}"
                )
            entry = tuple(row[place] for place in places)
            if not all(map(str.strip, entry)):
                raise DataError("a text is empty", file=file, record=record, mend="remove the row")
            texts.append(entry)
            found.append(named)
            if at_group is not None:
                groups.append(row[at_group])
    except csv.Error as error:
        raise DataError(f"damaged: {error}", file=file, record=f"line {rows.line_num}") from error
    if not texts:
        raise DataError("has no rows", file=file, mend="expected a header and a row for each text")
    return LabelledTexts(str(file), texts, found, groups if GROUP in header else None, sha256_file(file))


def plain_words(text: str) -> str:
    """Returns a text's words in lower case with single spaces between, as GloVe's are: ``do n't``, ``it 's``.

    Full stops and exclamation marks are words, other marks and HTML line breaks are dropped.

    Example:
        >>> plain_words("I don't like it!<br />It's bad, really.")
        "i do n't like it ! it 's bad really ."
    """
    text = _LINE_BREAK.sub(" ", text).lower().replace("’", "'")
    return " ".join(_WORD.findall(_NOT.sub(" n't", text)))
