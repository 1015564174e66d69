"""`edited`: IV-VQA and CV-VQA (Agarwal et al., CVPR 2020), whose questions keep the ids of their originals."""

from __future__ import annotations

from collections.abc import Mapping

from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form
from vqa_gs.data.edited import original_of, read_edited_set
from vqa_gs.data.questions import ImageId, QuestionId


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    found = read_edited_set(files["questions"], files["annotations"])
    keys: dict[tuple[QuestionId, ImageId], QuestionId] = {}
    for question in found.questions:
        original = original_of(question.question_id)
        if original is not None:
            keys[original, question.image_id] = question.question_id
    return AskedSet(found, keys=keys)


FORMS.register("edited")(Form(_read, ("questions", "annotations")))
