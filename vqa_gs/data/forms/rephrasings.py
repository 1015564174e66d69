"""`rephrasings`: VQA-Rephrasings (Shah et al., CVPR 2019), whose questions say which one they rephrase.

``rephrasing_of`` stands in the questions, or in the annotations. A rephrasing's id is its original's with a digit
behind it, which may be another question's id; question and image together are the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form, with_own_ids
from vqa_gs.data.groups import Groups
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import ImageId, QuestionId, read_question_set


class _Record(msgspec.Struct, gc=False):
    question_id: QuestionId
    image_id: ImageId
    rephrasing_of: QuestionId | None = None


class _File(msgspec.Struct):
    questions: list[_Record] = []
    annotations: list[_Record] = []


def _roots(file: StrPath) -> dict[tuple[QuestionId, ImageId], QuestionId]:
    content, _ = read_content(file, "rephrasings")
    parsed = decode(content, list[_Record] | _File, file=file, expected="rephrasings")  # type: ignore[arg-type]
    records = parsed if isinstance(parsed, list) else parsed.questions or parsed.annotations
    return {
        (record.question_id, record.image_id): record.rephrasing_of
        for record in records
        if record.rephrasing_of is not None
    }


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    plain = read_question_set(files["questions"], files["annotations"], repeated_ids=True)
    roots = _roots(files["questions"]) or _roots(files["annotations"])
    if not roots:
        raise DataError(
            "no question says which one it rephrases", file=files["questions"], mend="expected the field rephrasing_of"
        )
    asked = with_own_ids(plain)
    groups: dict[tuple[QuestionId, ImageId], list[QuestionId]] = {}
    for question, own in zip(plain.questions, asked.questions.question_ids, strict=True):
        key = question.question_id, question.image_id
        root = roots.get(key)
        members = groups.setdefault((key[0] if root is None else root, key[1]), [])
        members.insert(0 if root is None else len(members), own)
    return replace(asked, groups=Groups(rephrasings=[tuple(members) for members in groups.values()]))


FORMS.register("rephrasings")(Form(_read, ("questions", "annotations")))
