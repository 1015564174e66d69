"""`lavis`: one list of ``{image, question, question_id, answer}``, as LAVIS and FRAMES-VQA have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, with_own_ids
from vqa_gs.data.from_table import answer_type
from vqa_gs.data.json_files import decode, read_content, record_id
from vqa_gs.data.questions import Annotation, Answer, ImageId, Question, QuestionId, QuestionSet, most_common_answer

_COCO = re.compile(r"COCO_(?:train|val|test)\d{4}_(\d{12})")


class _Record(msgspec.Struct):
    image: ImageId
    question: str
    question_id: QuestionId
    answer: list[str] | str


def image_of(name: ImageId) -> ImageId:
    """Returns the image of a file's name: COCO's number, another whole number, else the name without folder and suffix.

    Example:
        >>> image_of("val2014/COCO_val2014_000000262148.jpg"), image_of("000000000139.jpg"), image_of("n161313.jpg")
        (262148, 139, 'n161313')
    """
    if isinstance(name, int):
        return name
    stem = PurePosixPath(name).stem
    found = _COCO.fullmatch(stem)
    digits = found.group(1) if found else stem
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else stem


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    file = files["questions"]
    content, digest = read_content(file, "questions with answers")
    shape = "a list of {image, question, question_id, answer}"
    questions, annotations, seen = [], [], set()
    decoder = msgspec.json.Decoder(_Record)
    for row, raw in enumerate(decode(content, list[msgspec.Raw], file=file, expected=shape)):
        try:
            record = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            name = record_id(raw, "question_id")
            where = f"row {row}" if name is None else f"question {name}"
            raise DataError(f"{error}", file=file, record=where, mend=f"expected {shape}") from error
        image, texts = image_of(record.image), [record.answer] if isinstance(record.answer, str) else record.answer
        if not texts or (record.question_id, image) in seen:
            problem = "this question id appears twice about one image" if texts else "this question has no answers"
            raise DataError(problem, file=file, record=f"question {record.question_id!r}", mend="drop the row")
        seen.add((record.question_id, image))
        answers = tuple(Answer(text, "", place) for place, text in enumerate(texts, start=1))
        majority = most_common_answer(answers)
        questions.append(Question(record.question_id, image, record.question))
        annotations.append(
            Annotation(
                record.question_id,
                image,
                answers,
                answer_type=answer_type(majority),
                multiple_choice_answer=majority,
            )
        )
    if not questions:
        raise DataError("holds no questions", file=file, mend=f"expected {shape}")
    return with_own_ids(QuestionSet(questions, annotations, {str(file): digest}))


FORMS.register("lavis")(Form(_read, ("questions",)))
