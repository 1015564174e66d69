"""The questions that pair ends speak of, found by id, with their answers in the form they are compared in."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.normalize import normalize_answer, normalize_question, strip_answer
from vqa_gs.data.questions import Annotation, ImageId, Question, QuestionId, QuestionSet


def answer_of(annotation: Annotation) -> str:
    """Returns the majority answer in its normalised form, by which answers are compared."""
    return normalize_answer(strip_answer(annotation.majority))


def agreement(annotation: Annotation) -> float:
    """Returns the share of annotators whose normalised answer is the majority's."""
    majority = answer_of(annotation)
    same = sum(normalize_answer(strip_answer(answer.answer)) == majority for answer in annotation.answers)
    return same / len(annotation.answers)


class Ends:
    """Finds the questions that pair ends speak of.

    Args:
        given: question sets with annotations, or None; an id that is in several is the first one's.
    """

    def __init__(self, *given: QuestionSet | None) -> None:
        sets = [some for some in given if some is not None]
        self.questions: list[Question] = [question for some in sets for question in some.questions]
        self.annotations: list[Annotation | None] = []
        for some in sets:
            self.annotations += some.annotations or [None] * len(some)
        self.file = next(iter(sets[0].sources), "the questions")
        self.rows: dict[QuestionId, int] = {}
        for row, question in enumerate(self.questions):
            self.rows.setdefault(question.question_id, row)

    def __contains__(self, question_id: QuestionId) -> bool:
        return question_id in self.rows

    def __len__(self) -> int:
        return len(self.questions)

    def image(self, question_id: QuestionId) -> ImageId:
        """Returns the id of the image a question is about."""
        return self.questions[self.rows[question_id]].image_id

    def annotation(self, question_id: QuestionId) -> Annotation | None:
        """Returns a question's annotation, None where the question or its answers are not known."""
        row = self.rows.get(question_id)
        return None if row is None else self.annotations[row]

    @cached_property
    def answers(self) -> tuple[list[str], NDArray[np.int64]]:
        """The distinct normalised answers, and each question's number among them, (n,)."""
        numbers: dict[str, int] = {}
        codes = np.empty(len(self), np.int64)
        written: dict[str, int] = {}
        for row, annotation in enumerate(self.annotations):
            majority = "" if annotation is None else annotation.majority
            code = written.get(majority)
            if code is None:
                answer = "" if annotation is None else answer_of(annotation)
                code = written[majority] = numbers.setdefault(answer, len(numbers))
            codes[row] = code
        return list(numbers), codes

    def asked(self, row: int) -> tuple[str, str]:
        """Returns the normalised text of a question and its normalised answer."""
        known, codes = self.answers
        return normalize_question(self.questions[row].question), known[codes[row]]

    def rows_of(self, column: NDArray[Any], file: StrPath | None = None) -> NDArray[np.int64]:
        """Finds a column of question ids, (P,).

        Raises:
            DataError: one is not there.
        """
        ids = column.tolist()
        found = np.fromiter((self.rows.get(id, -1) for id in ids), np.int64, len(ids))
        if len(found) and found.min() < 0:
            pair = int(np.argmin(found))
            self.require(ids[pair], file, f"pair {pair}", "name the questions it was made from")
        return found

    def require(self, question_id: QuestionId, file: StrPath | None, record: str, mend: str | None = None) -> None:
        """Checks that a question is there.

        Args:
            question_id: its id.
            file: the file that speaks of it, None where that is not known here.
            record: where in the file.
            mend: what else may help.

        Raises:
            DataError: it is not; the message names both files.
        """
        if question_id in self.rows:
            return
        other: QuestionId = str(question_id)
        if isinstance(question_id, str):
            other = int(question_id) if question_id.lstrip("-").isdecimal() else question_id
        if other is not question_id and other in self.rows:
            mend = "the ids are numbers in one file and text in the other: write them alike"
        raise DataError(
            f"there is no question {question_id!r} in {self.file}",
            file=file,
            record=record,
            mend=mend or "take both from the same release",
        )
