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
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

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


def annotate(texts: LabelledTexts) -> list[Annotation]:
    """Returns the labels as annotations, whose ids are the rows; the label is the answer and the answer type."""
    return [
        Annotation(row, row, (Answer(label, "yes", 1),), "text", label, label) for row, label in enumerate(texts.labels)
    ]


def as_questions(files: Sequence[LabelledTexts]) -> tuple[QuestionSet, list[tuple[int, int]]]:
    """Returns labelled texts as questions with single answers, and the pairs (row, row) that groups make of them.

    Args:
        files: read as one after the other; ids are rows.
    """
    texts = [entry for file in files for entry in file.texts]
    labels = [label for file in files for label in file.labels]
    whole = LabelledTexts("", texts, labels, None, "")
    questions = [Question(row, row, " / ".join(entry)) for row, entry in enumerate(texts)]
    pairs, base = [], 0
    for file in files:
        groups: dict[str, list[int]] = {}
        for row, group in enumerate(file.groups or ()):
            groups.setdefault(group, []).append(base + row)
        pairs += [(rows[0], other) for rows in groups.values() for other in rows[1:]]
        base += len(file)
    return QuestionSet(questions, annotate(whole), {file.file: file.sha256 for file in files}), pairs


def read_labelled_set(files: Sequence[StrPath], labels: Sequence[str]) -> QuestionSet:
    """Reads files of labelled texts as questions, whatever their columns are called.

    Args:
        files: read as one after the other.
        labels: the labels there are; the column that holds nothing else is that of the labels, and those in which
            every row has a text, but for `GROUP`, are the texts.

    Raises:
        DataError: a file is missing or damaged, or no column holds the labels.
    """
    read = []
    for path in files:
        file = require_file(path, "labelled texts")
        try:
            rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline=""), delimiter="\t"))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"is no table of texts: {error}", file=file) from error
        header, cells = (rows[0], [row for row in rows[1:] if row]) if rows else ([], [])
        columns = {name: [row[at] if at < len(row) else "" for row in cells] for at, name in enumerate(header)}
        known = set(labels)
        label = next((name for name, column in columns.items() if column and set(column) <= known), None)
        if label is None:
            raise DataError(f"no column holds the labels {', '.join(labels)} alone", file=file)
        texts = [name for name, column in columns.items() if name not in (label, GROUP) and all(map(str.strip, column))]
        if not texts:
            raise DataError("no column holds a text in every row", file=file)
        read.append(read_labelled_texts(file, texts, label, labels))
    return as_questions(read)[0]
