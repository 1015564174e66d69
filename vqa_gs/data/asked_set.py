"""A test's questions as evaluation takes them, whatever form their files have: each with an id of its own.

Question ids repeat by design where one question is asked about several images (IV-VQA, CV-VQA, NaturalBench, ViLP), so
that question and image together say which is meant. Here such a question is called ``question@image``, as an edit is
(`vqa_gs.data.edited`); result files may use either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.registry import Registry
from vqa_gs.data.groups import Groups
from vqa_gs.data.questions import ImageId, QuestionId, QuestionSet

DEFAULT_FORM = "vqa"


@dataclass(frozen=True)
class AskedSet:
    """Questions with annotations, and which of them belong together.

    Attributes:
        questions: each with an id of its own.
        groups: by these ids.
        keys: the id here by question id and image id in the files; empty where the files' own ids are used.
        notes: what to beware of, a sentence each.
    """

    questions: QuestionSet
    groups: Groups = field(default_factory=Groups)
    keys: Mapping[tuple[QuestionId, ImageId], QuestionId] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How the files of a kind of test are read.

    Attributes:
        read: takes the files by name (``questions``, ``annotations`` ...) and the options by name.
        files: the names of the files that have to be there.
        optional: the names of those that may be.
        options: the options it knows.
        scoring: the rule that its papers score by.
    """

    read: Callable[[Mapping[str, StrPath], Mapping[str, str]], AskedSet]
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    scoring: str = "official"


FORMS: Registry[Form] = Registry("form of questions", "vqa_gs.data.forms")
"""The forms by name, one a file of `vqa_gs/data/forms`."""


def read_asked(form: str, files: Mapping[str, StrPath], options: Mapping[str, str] | None = None) -> AskedSet:
    """Reads a test's files.

    Args:
        form: a name in `FORMS`.
        files: the files by what they hold.
        options: further settings of the form.

    Raises:
        UsageError: there is no such form, a file it needs is not named, or a name means nothing to it.
        DataError: a file is missing, damaged or of another shape.
    """
    kind, options = FORMS[form], options or {}
    lacking = [name for name in kind.files if name not in files]
    if lacking:
        raise UsageError(f"the form {form} needs {lacking[0]}", mend=f"name the files {', '.join(kind.files)}")
    odd = [name for name in files if name not in (*kind.files, *kind.optional)]
    odd += [name for name in options if name not in kind.options]
    if odd:
        known = ", ".join((*kind.files, *kind.optional, *kind.options))
        raise UsageError(f"the form {form} knows nothing of {odd[0]!r}", mend=f"it takes {known}")
    return kind.read(files, options)


def own_id(question_id: QuestionId, image_id: ImageId) -> str:
    """Returns the id of a question whose file's id repeats."""
    return f"{question_id}@{image_id}"


def with_own_ids(questions: QuestionSet) -> AskedSet:
    """Gives questions ids of their own where those of the file repeat; others stay as they are."""
    if len(set(questions.question_ids)) == len(questions):
        return AskedSet(questions)
    ids = [own_id(question.question_id, question.image_id) for question in questions.questions]
    keys = dict(zip(zip(questions.question_ids, questions.image_ids, strict=True), ids, strict=True))
    renamed = replace(
        questions,
        questions=[
            msgspec.structs.replace(question, question_id=own)
            for question, own in zip(questions.questions, ids, strict=True)
        ],
        annotations=None
        if questions.annotations is None
        else [
            msgspec.structs.replace(annotation, question_id=own)
            for annotation, own in zip(questions.annotations, ids, strict=True)
        ],
    )
    return AskedSet(renamed, keys=keys)
