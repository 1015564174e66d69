"""Edited question sets, IV-VQA and CV-VQA among them, with an id for every edit.

Agarwal et al., *Towards Causal VQA*, CVPR 2020. There an edited image's id is text, the COCO id and what was removed
("000000262148_000000000001"), and its question keeps the id of the original, so that one id stands for several edits. A
pair's end, and an example to train on, need an id of their own: "262148000@000000262148_000000000001".
"""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec

from vqa_gs.common.files import StrPath
from vqa_gs.data.questions import ImageId, QuestionId, QuestionSet, most_common_answer, read_question_set

_EDITED_IMAGE = re.compile(r"\d{12}_\d{1,12}")
_EDITED_ID = re.compile(r"(-?\d+)@(\d{12}_\d{1,12})")


def read_edited_set(questions: StrPath, annotations: StrPath) -> QuestionSet:
    """Reads counterfactual questions and their annotations.

    Files in the form of IV-VQA and CV-VQA get ids of their own, and the majority of the answers for their
    ``multiple_choice_answer``, which CV-VQA leaves at the number before the removal. Other files stay as they are.

    Args:
        questions: the questions file.
        annotations: the annotations file.

    Raises:
        DataError: as `read_question_set`; in files of another form, ids that repeat are an error too.
    """
    given = read_question_set(questions, annotations, repeated_ids=True)
    edits = [isinstance(image_id, str) and _EDITED_IMAGE.fullmatch(image_id) for image_id in given.image_ids]
    if not all(edits) or any(isinstance(question_id, str) for question_id in given.question_ids):
        return read_question_set(questions, annotations)
    assert given.annotations is not None
    return replace(
        given,
        questions=[
            msgspec.structs.replace(question, question_id=f"{question.question_id}@{question.image_id}")
            for question in given.questions
        ],
        annotations=[
            msgspec.structs.replace(
                annotation,
                question_id=f"{annotation.question_id}@{annotation.image_id}",
                multiple_choice_answer=most_common_answer(annotation.answers),
            )
            for annotation in given.annotations
        ],
    )


def original_of(question_id: QuestionId) -> int | None:
    """Returns the id of the question that an edit was made from, None if the id does not say."""
    match = _EDITED_ID.fullmatch(question_id) if isinstance(question_id, str) else None
    return None if match is None else int(match.group(1))


def photograph_of(image_id: ImageId) -> ImageId:
    """Returns the image that an edit was made of, the image itself where it is none.

    Edits of one photograph are no samples apart from each other.

    Example:
        >>> photograph_of("000000262148_000000000001"), photograph_of(262148)
        (262148, 262148)
    """
    edited = removed_from(image_id)
    return image_id if edited is None else edited[0]


def removed_from(image_id: ImageId) -> tuple[int, int] | None:
    """Returns the original's id and the category removed from it, as IV-VQA's image ids say; None where one does not.

    CV-VQA's ids look alike but name the instance removed: they say nothing of the category.

    Example:
        >>> removed_from("000000262148_000000000001")
        (262148, 1)
    """
    if not isinstance(image_id, str) or not _EDITED_IMAGE.fullmatch(image_id):
        return None
    original, _, category = image_id.partition("_")
    return int(original), int(category)
