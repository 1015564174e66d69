"""Questions and annotations of VQA v1 and v2 and VQA-CP v1 and v2, in every shape they are met in.

A file is an object with a header around a list, an object with nothing but the list (IV-VQA), or the bare
list (VQA-CP); plain or gzipped. Unknown keys are ignored everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.json_files import decode, read_content, record_id

QuestionId = int | str
ImageId = int | str

UNKNOWN_TYPE = "unknown"

# The structs hold no containers that could refer back to them, so the cycle collector need not look at them
# (gc=False): with two million answers it would otherwise walk the growing heap again and again.


class Question(msgspec.Struct, frozen=True, gc=False):
    """One question about one image.

    Attributes:
        question_id: its id; equal ids of different type (7 and "7") are different ids.
        image_id: the image it is about.
        question: the text as asked.
        coco_split: "train2014" or "val2014", where the image lies in COCO; only VQA-CP says so.
    """

    question_id: QuestionId
    image_id: ImageId
    question: str
    coco_split: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What one annotator answered.

    Attributes:
        answer: the text as given.
        answer_confidence: "yes", "maybe" or "no"; empty where the file does not say.
        answer_id: 1 to 10 within its question; the official score needs it.
    """

    answer: str
    answer_confidence: str = ""
    answer_id: int | str | None = None


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """The answers to one question.

    Attributes:
        question_id: the question's id.
        image_id: its image.
        question_type: the question's first words ("how many"), or "unknown".
        answer_type: "yes/no", "number" or "other", or "unknown".
        multiple_choice_answer: the majority answer. Where the file has none, the most common of ``answers``
            as written; of several equally common ones the first.
        answers: one for each annotator, at least one.
    """

    question_id: QuestionId
    image_id: ImageId
    answers: tuple[Answer, ...]
    question_type: str = UNKNOWN_TYPE
    answer_type: str = UNKNOWN_TYPE
    multiple_choice_answer: str | None = None

    @property
    def majority(self) -> str:
        """The majority answer; as ``multiple_choice_answer``, which the readers always fill in."""
        if self.multiple_choice_answer is not None:
            return self.multiple_choice_answer
        return most_common_answer(self.answers)


def most_common_answer(answers: Iterable[Answer]) -> str:
    """Returns the answer most annotators wrote; of several equally common ones the first."""
    return Counter(answer.answer for answer in answers).most_common(1)[0][0]


class _QuestionFile(msgspec.Struct):
    questions: list[msgspec.Raw] | None = None
    annotations: msgspec.Raw = msgspec.Raw()


class _AnnotationFile(msgspec.Struct):
    annotations: list[msgspec.Raw] | None = None
    questions: msgspec.Raw = msgspec.Raw()


_FILES = {"questions": _QuestionFile, "annotations": _AnnotationFile}

Record = TypeVar("Record", Question, Annotation)


class _Sharing:
    """Completes annotations and makes equal answers one object; of two million, few differ."""

    def __init__(self, file: StrPath) -> None:
        self.file = file
        self.answers: dict[Answer, Answer] = {}
        self.texts: dict[str, str] = {}

    def annotation(self, given: Annotation) -> Annotation:
        if not given.answers:
            raise DataError(
                "this question has no answers",
                file=self.file,
                record=f"question {given.question_id!r}",
                mend="leave it out of both files, or give it at least one answer",
            )
        answers, texts = self.answers, self.texts
        majority = given.majority
        return Annotation(
            given.question_id,
            given.image_id,
            tuple([answers.setdefault(answer, answer) for answer in given.answers]),
            texts.setdefault(given.question_type, given.question_type),
            texts.setdefault(given.answer_type, given.answer_type),
            texts.setdefault(majority, majority),
        )


def _decode_records(
    records: Sequence[msgspec.Raw],
    kind: type[Record],
    file: StrPath,
    finish: Callable[[Record], Record] | None = None,
) -> list[Record]:
    """Decodes record by record, so that a damaged one can be named and ``finish`` can save memory early."""
    read = msgspec.json.Decoder(kind).decode
    decoded = []
    for row, raw in enumerate(records):
        try:
            record = read(raw)
            decoded.append(record if finish is None else finish(record))
        except msgspec.ValidationError as error:
            name = record_id(raw, "question_id")
            raise DataError(
                f"{error}",
                file=file,
                record=f"row {row}" if name is None else f"question {name}",
                mend=f"expected the fields of {'a question' if kind is Question else 'an annotation'}",
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"not valid JSON: {error}", file=file, record=f"row {row}", mend="copy or fetch it again"
            ) from error
    return decoded


def _key(record: Question | Annotation, repeated_ids: bool) -> Hashable:
    return (record.question_id, record.image_id) if repeated_ids else record.question_id


def _refuse_repeated(
    records: Sequence[Question] | Sequence[Annotation], file: StrPath, repeated_ids: bool = False
) -> None:
    seen: set[Hashable] = set()
    for record in records:
        key = _key(record, repeated_ids)
        if key in seen:
            about = f" about image {record.image_id!r}" if repeated_ids else ""
            raise DataError(
                f"this question id appears twice{about}",
                file=file,
                record=f"question {record.question_id!r}",
                mend="keep one of the two, or give the questions ids of their own",
            )
        seen.add(key)


def _read_records(path: StrPath, wanted: Literal["questions", "annotations"]) -> tuple[list[msgspec.Raw], str]:
    """Returns the records of a file, not yet decoded, and the file's SHA-256.

    Raises:
        DataError: the file is missing, damaged, of another shape, without records, or the other one of the two.
    """
    content, digest = read_content(path, wanted)
    parsed = decode(
        content,
        list[msgspec.Raw] | _FILES[wanted],  # type: ignore[arg-type]
        file=path,
        expected=f"a list of {wanted} or an object with one",
    )
    records: list[msgspec.Raw] | None = parsed if isinstance(parsed, list) else getattr(parsed, wanted)
    other = "annotations" if wanted == "questions" else "questions"
    if records is None and not bytes(getattr(parsed, other)):
        raise DataError(
            f"has no list of {wanted}", file=path, mend=f"expected an object with `{wanted}`, or a bare list"
        )
    if records is not None and not records:
        raise DataError(f"has no {wanted}", file=path, mend=f"give a file with at least one {wanted.rstrip('s')}")
    if records is None or _is_other(records[0], wanted):
        raise DataError(f"holds {other}, not {wanted}", file=path, mend="are the two files swapped?")
    return records, digest


def _is_other(record: msgspec.Raw, wanted: str) -> bool:
    """Whether a record is plainly an annotation where questions are wanted, or the reverse."""
    asks, answers = record_id(record, "question") is not None, b'"answers"' in bytes(record)
    return asks != answers and answers == (wanted == "questions")


def _read_questions(path: StrPath, repeated_ids: bool = False) -> tuple[list[Question], str]:
    records, digest = _read_records(path, "questions")
    questions = _decode_records(records, Question, path)
    _refuse_repeated(questions, path, repeated_ids)
    return questions, digest


def read_questions(path: StrPath) -> list[Question]:
    """Reads a questions file, in the file's order.

    Args:
        path: JSON, plain or gzipped: an object with ``questions`` or a bare list.

    Raises:
        DataError: the file is missing, empty, damaged or of another shape, or a question id appears twice.
    """
    return _read_questions(path)[0]


def _read_annotations(path: StrPath, repeated_ids: bool = False) -> tuple[list[Annotation], str]:
    records, digest = _read_records(path, "annotations")
    annotations = _decode_records(records, Annotation, path, _Sharing(path).annotation)
    _refuse_repeated(annotations, path, repeated_ids)
    return annotations, digest


def read_annotations(path: StrPath) -> list[Annotation]:
    """Reads an annotations file, in the file's order.

    Args:
        path: JSON, plain or gzipped: an object with ``annotations`` or a bare list.

    Raises:
        DataError: the file is missing, empty, damaged or of another shape, a question id appears twice, or a
            question has no answers.
    """
    return _read_annotations(path)[0]


@dataclass(frozen=True)
class QuestionSet:
    """Questions and, where they are known, their annotations.

    Attributes:
        questions: in the order of the questions file.
        annotations: ``annotations[i]`` answers ``questions[i]``; None where the answers are not known.
        sources: SHA-256 (64 hex digits) of each file by its path as given: the questions file, then the
            annotations file.
    """

    questions: list[Question]
    annotations: list[Annotation] | None
    sources: dict[str, str]

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def question_ids(self) -> list[QuestionId]:
        """The question ids, in order; do not change the list."""
        return [question.question_id for question in self.questions]

    @cached_property
    def image_ids(self) -> list[ImageId]:
        """The image id of each question, in order; do not change the list."""
        return [question.image_id for question in self.questions]

    @cached_property
    def row_of(self) -> dict[QuestionId, int]:
        """The row of each question id; do not change it."""
        return {question_id: row for row, question_id in enumerate(self.question_ids)}

    def subset(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> QuestionSet:
        """Returns the questions at ``indices``, in their order, with the same sources."""
        rows = [int(index) for index in indices]
        return QuestionSet(
            [self.questions[row] for row in rows],
            None if self.annotations is None else [self.annotations[row] for row in rows],
            dict(self.sources),
        )


def _align(
    questions: Sequence[Question],
    annotations: Sequence[Annotation],
    questions_file: StrPath,
    annotations_file: StrPath,
    repeated_ids: bool,
) -> list[Annotation]:
    by_id = {_key(annotation, repeated_ids): annotation for annotation in annotations}
    aligned = []
    for question in questions:
        annotation = by_id.pop(_key(question, repeated_ids), None)
        if annotation is None:
            raise DataError(
                f"this question has no annotation in {annotations_file}",
                file=questions_file,
                record=f"question {question.question_id!r}",
                mend=_mend_missing(question.question_id, [entry.question_id for entry in by_id.values()]),
            )
        if annotation.image_id != question.image_id:
            raise DataError(
                f"the image is {annotation.image_id!r} here but {question.image_id!r} in {questions_file}",
                file=annotations_file,
                record=f"question {question.question_id!r}",
                mend="take both files from the same release",
            )
        aligned.append(annotation)
    if by_id:
        stray = next(iter(by_id.values())).question_id
        raise DataError(
            f"this annotation has no question in {questions_file}",
            file=annotations_file,
            record=f"question {stray!r}",
            mend=_mend_missing(stray, {question.question_id for question in questions}),
        )
    return aligned


def _mend_missing(key: QuestionId, others: Iterable[QuestionId]) -> str:
    if any(type(other) is not type(key) and str(other) == str(key) for other in others):
        return "the ids are numbers in one file and strings in the other: write them alike"
    return "take both files from the same split and release"


def read_question_set(
    questions: StrPath, annotations: StrPath | None = None, *, repeated_ids: bool = False
) -> QuestionSet:
    """Reads questions and, if given, their annotations, and checks that the two belong together.

    Args:
        questions: the questions file; its order is kept.
        annotations: the annotations file, in any order.
        repeated_ids: let a question id stand once for each image, as IV-VQA and CV-VQA have it: an edit keeps
            the id of its original. Question and image together are then the identity.

    Raises:
        DataError: a file is damaged (see `read_questions` and `read_annotations`), a question has no
            annotation, an annotation no question, or the two disagree on the image.
    """
    read, digest = _read_questions(questions, repeated_ids)
    sources = {str(questions): digest}
    if annotations is None:
        return QuestionSet(read, None, sources)
    answers, sources[str(annotations)] = _read_annotations(annotations, repeated_ids)
    return QuestionSet(read, _align(read, answers, questions, annotations, repeated_ids), sources)


def read_question_sets(questions: Sequence[StrPath], annotations: Sequence[StrPath]) -> QuestionSet:
    """Reads the questions of several files as one set, in the order of the files.

    Args:
        questions: questions files.
        annotations: as many annotations files, in the same order.

    Raises:
        UsageError: there are more of one than of the other.
        DataError: a file is damaged, see `read_question_set`, or a question id stands in two of them.
    """
    if len(questions) != len(annotations):
        raise UsageError(
            f"{len(questions)} questions files and {len(annotations)} annotations files",
            mend="give one annotations file for each questions file, in the same order",
        )
    parts = [read_question_set(*files) for files in zip(questions, annotations, strict=True)]
    seen: set[QuestionId] = set()
    for file, part in zip(questions, parts, strict=True):
        twice = next((key for key in part.question_ids if key in seen), None)
        if twice is not None:
            raise DataError(
                "this question id stands in an earlier file too",
                file=file,
                record=f"question {twice!r}",
                mend="give files without common questions",
            )
        seen.update(part.question_ids)
    return QuestionSet(
        [question for part in parts for question in part.questions],
        [annotation for part in parts for annotation in part.annotations or []],
        {file: digest for part in parts for file, digest in part.sources.items()},
    )
