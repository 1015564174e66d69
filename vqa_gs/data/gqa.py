"""GQA and GQA-OOD question files: one object by question id, questions and answers together."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.data.json_files import GZIP_MAGIC, decode, read_content
from vqa_gs.data.questions import UNKNOWN_TYPE, Annotation, Answer, Question, QuestionId, QuestionSet

# What GQA-OOD calls the group of questions that GQA gives none.
NO_GROUP = "none"
# A GQA record is about 1 kB long; its image id stands in it.
_PEEKED = 1 << 16


class _Groups(msgspec.Struct, gc=False):
    local: str | None = None
    whole: str | None = msgspec.field(name="global", default=None)


class _Types(msgspec.Struct, gc=False):
    structural: str | None = None
    semantic: str | None = None
    detailed: str | None = None


class _Record(msgspec.Struct):
    question: str
    imageId: str
    answer: str
    isBalanced: bool = True
    groups: _Groups = msgspec.field(default_factory=_Groups)
    types: _Types = msgspec.field(default_factory=_Types)


@dataclass(frozen=True)
class GqaSet:
    """The balanced questions of a GQA file.

    Attributes:
        questions: with one answer each; the question type is GQA's structural one, the answer type ``open`` for
            structure ``query`` and ``binary`` for the rest, as GQA's evaluation has it.
        local_groups: ``groups.local`` by question id, "none" where there is none.
        semantic_types: ``types.semantic`` by question id.
        global_groups: ``groups.global`` by question id, where there is one.
        common: questions for what objects have in common, as ``types.detailed`` says.
        unbalanced: how many questions were left out because they are not balanced; GQA scores balanced ones only.
    """

    questions: QuestionSet
    local_groups: dict[QuestionId, str]
    semantic_types: dict[QuestionId, str]
    unbalanced: int
    global_groups: dict[QuestionId, str] = field(default_factory=dict)
    common: frozenset[QuestionId] = frozenset()


def is_gqa(path: StrPath) -> bool:
    """Says whether a file looks like GQA's form: an object by question id whose records name an ``imageId``."""
    file = require_file(path, "questions")
    try:
        with open(file, "rb") as plain:
            packed = plain.read(2) == GZIP_MAGIC
        with gzip.open(file) if packed else open(file, "rb") as stream:
            begin = stream.read(_PEEKED)
    except (OSError, EOFError, zlib.error):
        return False  # whoever reads it whole says what is wrong with it
    return begin.lstrip()[:1] == b"{" and b'"imageId"' in begin


def read_gqa(path: StrPath) -> GqaSet:
    """Reads a GQA or GQA-OOD question file, plain or gzipped.

    Raises:
        DataError: the file is missing, damaged or of another shape, or holds no balanced question.
    """
    content, digest = read_content(path, "GQA questions")
    records = decode(content, dict[str, _Record], file=path, expected="an object of GQA questions by id")
    kept = {key: record for key, record in records.items() if record.isBalanced}
    if not kept:
        raise DataError("holds no balanced question", file=path, mend="give one of GQA's balanced files")
    questions = [Question(key, record.imageId, record.question) for key, record in kept.items()]
    annotations = [
        Annotation(
            key,
            record.imageId,
            (Answer(record.answer, "", 1),),
            record.types.structural or UNKNOWN_TYPE,
            "open" if record.types.structural == "query" else "binary",
            record.answer,
        )
        for key, record in kept.items()
    ]
    return GqaSet(
        QuestionSet(questions, annotations, {str(path): digest}),
        {key: record.groups.local or NO_GROUP for key, record in kept.items()},
        {key: record.types.semantic or UNKNOWN_TYPE for key, record in kept.items()},
        len(records) - len(kept),
        {key: record.groups.whole for key, record in kept.items() if record.groups.whole is not None},
        frozenset(key for key, record in kept.items() if "Common" in (record.types.detailed or "")),
    )
