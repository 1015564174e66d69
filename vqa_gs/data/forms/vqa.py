"""`vqa`: questions and annotations of VQA v1 and v2, VQA-CP, VQA-VS, AdVQA, with or without a head around the lists."""

from __future__ import annotations

from collections.abc import Mapping

from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, with_own_ids
from vqa_gs.data.questions import read_question_set


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    return with_own_ids(read_question_set(files["questions"], files["annotations"], repeated_ids=True))


FORMS.register("vqa")(Form(_read, ("questions", "annotations")))
