"""Answers to edited images: IV-VQA and CV-VQA (Agarwal, Shetty, Fritz, CVPR 2020).

An edit keeps its original's question id, so the ids of an edited set repeat; its image id names the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vqa_gs.eval.results import Result, name_ids

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.questions import Annotation, QuestionId, QuestionSet

EditKind = Literal["iv", "cv"]


@dataclass(frozen=True)
class EditedAnswers:
    """Answers to the edits of a set's questions.

    Attributes:
        kind: ``iv``: the edit leaves the true answer as it is (an object the question does not speak of was
            removed); ``cv``: it lowers the true count by one (one of the counted objects was removed).
        question_ids: (m,) the question of each edit, the same as its original's.
        annotations: (m,) annotations of the edits.
        predictions: (m,) answers to the edits.
    """

    kind: EditKind
    question_ids: Sequence[QuestionId]
    annotations: Sequence[Annotation]
    predictions: Sequence[str]


def edited_answers(kind: EditKind, edits: QuestionSet, rows: Sequence[Result], file: StrPath) -> EditedAnswers:
    """Brings the rows of a result file into the order of an edited set.

    Rows belong to edits by question and image id. Where no row names an image they belong by place, which needs
    the question ids to agree row by row.

    Args:
        kind: see `EditedAnswers`.
        edits: the edited questions with annotations, read with ``repeated_ids``.
        rows: the rows of the result file.
        file: where they came from, for messages.

    Raises:
        DataError: an edit has no answer or two, or a row belongs to no edit.
    """
    assert edits.annotations is not None
    wanted = list(zip(edits.question_ids, edits.image_ids, strict=True))
    if rows and all(row.image_id is None for row in rows) and len(set(edits.question_ids)) < len(wanted):
        if [row.question_id for row in rows] != edits.question_ids:
            raise DataError(
                "question ids repeat in the edited set, but the rows name no image and are not in its order",
                file=file,
                mend='add "image_id" to each row, as `vqa-gs predict` does',
            )
        return EditedAnswers(kind, edits.question_ids, edits.annotations, [row.answer for row in rows])
    image_of = dict(wanted)
    answers: dict[tuple[QuestionId, object], str] = {}
    for row in rows:
        image = image_of.get(row.question_id) if row.image_id is None else row.image_id
        if (row.question_id, image) in answers:
            raise DataError(
                "this edit is answered twice",
                file=file,
                record=f"question {row.question_id!r}, image {image!r}",
                mend="keep one answer for each edit",
            )
        answers[row.question_id, image] = row.answer
    known = set(wanted)
    stray = [key for key in answers if key not in known]
    missing = [key for key in wanted if key not in answers]
    if stray or missing:
        problem = f"answers {len(stray)} edits that are not in the set" if stray else f"{len(missing)} have no answer"
        first = (stray or missing)[0]
        raise DataError(
            f"{problem}: {name_ids([key[0] for key in stray or missing])}",
            file=file,
            record=f"question {first[0]!r}, image {first[1]!r}",
            mend="use the results of the same edited set",
        )
    return EditedAnswers(kind, edits.question_ids, edits.annotations, [answers[key] for key in wanted])
