"""Questions and answers of one's own, a row a question in a CSV or TSV file, as questions and annotations."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, sha256_file
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.official_types import own_question_type
from vqa_gs.data.questions import Annotation, Answer, ImageId, Question, QuestionId, QuestionSet

ANNOTATORS = 10
_ANSWER = re.compile(r"answer_?([0-9]{1,3})")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,/:][0-9]+)?")
_COLUMNS = "columns image, question, and answer (or answer_1 to answer_10)"
_OWN = ("question_id", "question_type", "answer_type")
# A cell may hold a long text, as a pasted page; more is a file that is no table.
_LONGEST = 1 << 20


@dataclass(frozen=True)
class _Header:
    """Where the columns are."""

    image: int
    question: int
    answers: tuple[int, ...]
    own: Mapping[str, int]


def read_table(path: StrPath, image_ids: Mapping[str, ImageId]) -> QuestionSet:
    """Reads a table of questions and answers.

    Args:
        path: CSV, or TSV where the name ends in ``.tsv`` or the header has tabs; UTF-8, with a header. Columns
            ``image`` (a file's name, with or without folders and suffix), ``question``, and ``answer`` or ``answer_1``
            to ``answer_10``; optional ``question_id``, ``question_type`` and ``answer_type``. Others are ignored.
        image_ids: the id of each image by its file's name, and by its path within the folder.

    Returns:
        The questions and their annotations, in the file's order. A question without an id gets its row's number, from
        1 on; one without a type the longest of VQA's 65 types it begins with, else its first two words; an answer type
        is told by the most common answer.

    Raises:
        DataError: the file is no such table, or a row lacks something, names an image that is not there, or repeats an
            id; the message names the line.
    """
    file = require_file(path, "table of questions")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not text in UTF-8: {error}", file=file, mend="save it as UTF-8") from error
    first = text.partition("\n")[0]
    tabs = file.suffix.lower() in (".tsv", ".tab") or first.count("\t") > first.count(",")
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if tabs else ",", strict=True)
    known = _by_name(image_ids)
    questions: list[Question] = []
    annotations: list[Annotation] = []
    seen: dict[QuestionId, int] = {}
    width = 0
    try:
        names = next(rows, [])
        header, width = _header(names, file), len(names)
        for row in rows:
            if not any(map(str.strip, row)):
                continue
            line = f"line {rows.line_num}"
            if len(row) != width:
                raise DataError(
                    f"{len(row)} cells where the header has {width}",
                    file=file,
                    record=line,
                    mend='put text with commas in quotation marks: "red, or pink"',
                )
            cells = [cell.strip() for cell in row]
            question, annotation = _row(cells, header, len(questions) + 1, known, file, line)
            if question.question_id in seen:
                raise DataError(
                    f"the question id {question.question_id!r} is that of line {seen[question.question_id]} too",
                    file=file,
                    record=line,
                    mend="give each row an id of its own, or leave the column out",
                )
            seen[question.question_id] = rows.line_num
            questions.append(question)
            annotations.append(annotation)
    except csv.Error as error:
        raise DataError(f"damaged: {error}", file=file, record=f"line {rows.line_num}") from error
    if not questions:
        raise DataError("has no rows", file=file, mend=f"expected a header with {_COLUMNS}, and a row a question")
    kinds = {type(question_id) for question_id in seen}
    if len(kinds) > 1:
        questions = [Question(str(q.question_id), q.image_id, q.question) for q in questions]
        annotations = [_renamed(annotation) for annotation in annotations]
    return QuestionSet(questions, annotations, {str(file): sha256_file(file)})


def answer_type(answer: str) -> str:
    """Returns ``yes/no``, ``number`` or ``other``, as VQA v2 tells answers apart.

    Example:
        >>> [answer_type(text) for text in ("Yes.", "two", "3", "red")]
        ['yes/no', 'number', 'number', 'other']
    """
    form = normalize_answer(strip_answer(answer))
    if form in ("yes", "no"):
        return "yes/no"
    return "number" if _NUMBER.fullmatch(form) else "other"


def _header(names: Sequence[str], file: StrPath) -> _Header:
    cleaned = [name.strip().lower().replace(" ", "_") for name in names]
    repeated = [name for name, count in Counter(cleaned).items() if count > 1 and name]
    if repeated:
        raise DataError(f"has two columns {repeated[0]!r}", file=file, record="line 1")
    place = {name: at for at, name in enumerate(cleaned)}
    numbered = sorted((int(match[1]), at) for name, at in place.items() if (match := _ANSWER.fullmatch(name)))
    image = next((place[name] for name in ("image", "image_id", "file", "filename") if name in place), None)
    answers = tuple(at for _, at in numbered)
    for missing, there in (("image", image), ("question", place.get("question"))):
        if there is None:
            raise DataError(f"has no column {missing!r}", file=file, record="line 1", mend=f"expected {_COLUMNS}")
    if not answers and "answer" not in place:
        raise DataError("has no column 'answer'", file=file, record="line 1", mend=f"expected {_COLUMNS}")
    if answers and "answer" in place:
        raise DataError(
            "has a column 'answer' and numbered ones", file=file, record="line 1", mend="keep one of the two"
        )
    assert image is not None
    own: dict[str, int] = {name: place[name] for name in _OWN if name in place}
    return _Header(image, place["question"], answers or (place["answer"],), own)


def _row(
    cells: Sequence[str], header: _Header, number: int, known: Mapping[str, ImageId], file: StrPath, line: str
) -> tuple[Question, Annotation]:
    def refuse(problem: str, mend: str) -> DataError:
        return DataError(problem, file=file, record=line, mend=mend)

    name, text = cells[header.image], cells[header.question]
    image_id = known.get(name, known.get(PurePath(name.replace("\\", "/")).name))
    if image_id is None:
        close = get_close_matches(name, known, 1)
        raise refuse(
            f"there is no image {name!r}" if name else "the image is missing",
            f"did you mean {close[0]}?" if close else "name a file of the folder given with --images",
        )
    if not text:
        raise refuse("the question is missing", "write it, or remove the row")
    answers = [cells[at] for at in header.answers if cells[at]]
    if not answers:
        raise refuse("there is no answer", "write it, or remove the row")
    own = {column: cells[at] for column, at in header.own.items()}
    for column, value in own.items():
        if not value:
            raise refuse(f"the {column} is empty", "fill it in, or remove the column to have it made")
    question_id = _id(own["question_id"]) if "question_id" in own else number
    majority = Counter(answers).most_common(1)[0][0]
    annotation = Annotation(
        question_id,
        image_id,
        tuple(Answer(answer, "yes", at) for at, answer in enumerate(answers, start=1)),
        own.get("question_type") or own_question_type(text),
        own.get("answer_type") or answer_type(majority),
        majority,
    )
    return Question(question_id, image_id, text), annotation


def _by_name(image_ids: Mapping[str, ImageId]) -> dict[str, ImageId]:
    """Returns ids by path, by file name, by name without suffix, and by the id as text, where these are unambiguous."""
    found: dict[str, set[ImageId]] = defaultdict(set)
    for path, image_id in image_ids.items():
        pure = PurePath(path)
        for name in (pure.name, pure.stem, str(image_id)):
            found[name].add(image_id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1} | dict(image_ids)


def _id(text: str) -> QuestionId:
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,17}", text) else text


def _renamed(annotation: Annotation) -> Annotation:
    return Annotation(
        str(annotation.question_id), annotation.image_id, annotation.answers, annotation.question_type,
        annotation.answer_type, annotation.multiple_choice_answer,
    )  # fmt: skip
