"""Question types for annotations that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from vqa_gs.data.official_types import question_type
from vqa_gs.data.questions import UNKNOWN_TYPE, Annotation, QuestionSet


def with_question_types(question_set: QuestionSet) -> tuple[QuestionSet, int]:
    """Assigns a type to the annotations that lack one.

    Returns:
        The set, the same object where nothing lacks, and how many types were assigned.
    """
    annotations: Sequence[Annotation] = question_set.annotations or []
    lacking = [row for row, annotation in enumerate(annotations) if annotation.question_type in (UNKNOWN_TYPE, "")]
    if not lacking:
        return question_set, 0
    completed = list(annotations)
    for row in lacking:
        kind = question_type(question_set.questions[row].question)
        completed[row] = msgspec.structs.replace(annotations[row], question_type=kind)
    return replace(question_set, annotations=completed), len(lacking)
