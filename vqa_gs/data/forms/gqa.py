"""`gqa`: GQA and GQA-OOD, one object by question id, with GQA's choices file for validity and plausibility."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vqa_gs.common.files import StrPath
from vqa_gs.data.asked_set import FORMS, AskedSet, Form
from vqa_gs.data.gqa import read_gqa
from vqa_gs.data.groups import Choices, Groups
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId


class _Choices(msgspec.Struct, gc=False):
    valid: tuple[str, ...] = ()
    plausible: tuple[str, ...] = ()


def _read_choices(file: StrPath, wanted: set[QuestionId]) -> dict[QuestionId, Choices]:
    """Reads the choices of some questions; the many questions with the same ones share them."""
    content, _ = read_content(file, "GQA choices")
    raws = decode(content, dict[str, msgspec.Raw], file=file, expected="an object of {valid, plausible} by question id")
    shared: dict[tuple[str, ...], frozenset[str]] = {}

    def one(texts: tuple[str, ...]) -> frozenset[str]:
        found = shared.get(texts)
        if found is None:
            found = shared[texts] = frozenset(texts)
        return found

    choices: dict[QuestionId, Choices] = {}
    for key, raw in raws.items():
        if key in wanted:
            given = decode(bytes(raw), _Choices, file=file, expected="{valid, plausible} of each question")
            choices[key] = Choices(one(given.valid), one(given.plausible))
    return choices


def _read(files: Mapping[str, StrPath], options: Mapping[str, str]) -> AskedSet:
    found = read_gqa(files["questions"])
    wanted = set(found.questions.question_ids)
    groups = Groups(
        local_groups=found.local_groups,
        global_groups=found.global_groups,
        semantic_types=found.semantic_types,
        common=found.common,
        choices=_read_choices(files["choices"], wanted) if "choices" in files else {},
    )
    left = f"{found.unbalanced:,} questions that are not balanced are left out, as GQA does"
    return AskedSet(found.questions, groups, notes=(left,) if found.unbalanced else ())


FORMS.register("gqa")(Form(_read, ("questions",), ("choices",), scoring="exact"))
