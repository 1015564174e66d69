"""Writing questions and annotations: two bare lists as VQA-CP's, or the same under a head, as VQA v2's."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.common.files import StrPath, write_bytes
from vqa_gs.data.questions import Annotation, Question, QuestionSet


def _without_none(value: Any) -> Any:
    """Leaves out what the source did not say, rather than writing null where readers expect text or a number."""
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [_without_none(part) for part in value]
    return value


def encode_records(records: Sequence[Question] | Sequence[Annotation]) -> bytes:
    """Returns the records as a JSON list; the same records give the same bytes."""
    return msgspec.json.encode([_without_none(msgspec.to_builtins(record)) for record in records])


def write_question_set(
    question_set: QuestionSet, questions: StrPath, annotations: StrPath, head: dict[str, Any] | None = None
) -> None:
    """Writes both files, atomically; gzipped if the name ends in ``.gz``.

    Args:
        question_set: questions with annotations.
        questions: the questions file.
        annotations: the annotations file.
        head: what stands beside the list in each file, as the official evaluation reads it; None: bare lists.
    """
    assert question_set.annotations is not None
    for path, name, content in (
        (questions, "questions", encode_records(question_set.questions)),
        (annotations, "annotations", encode_records(question_set.annotations)),
    ):
        if head is not None:
            content = msgspec.json.encode({**head, name: msgspec.Raw(content)})
        # No time in the header, so that the same split gives the same bytes and hash.
        write_bytes(path, gzip.compress(content, 6, mtime=0) if Path(path).suffix == ".gz" else content)
