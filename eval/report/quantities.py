"""The scores of a metrics file one by one, as tables, CSV and studies list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from vqa_gs.eval.report_content.resampling import OVERALL, Group, answer_type, question_type, subset
from vqa_gs.eval.runs import PairAccuracy, SplitMetrics


class Quantity(msgspec.Struct, frozen=True):
    """One score.

    Attributes:
        kind: ``overall``, ``answer_type``, ``question_type`` or ``pair_accuracy``.
        name: which type or kind of pair, "" for all.
        value: percent.
        count: how many questions, or pairs.
        group: the questions, for intervals.
        subset: the subset it is taken over, "" for all questions.
    """

    kind: str
    name: str
    value: float | None
    count: int | None
    group: Group | None = None
    subset: str = ""


def quantities(metrics: SplitMetrics) -> Iterator[Quantity]:
    """Yields the scores of a file in its order; breakdowns have their own."""
    yield Quantity("overall", "", metrics.overall, metrics.questions, OVERALL)
    for kind, value in metrics.per_answer_type.items():
        yield Quantity("answer_type", kind, value, metrics.counts.per_answer_type.get(kind), answer_type(kind))
    for kind, value in metrics.per_question_type.items():
        yield Quantity("question_type", kind, value, metrics.counts.per_question_type.get(kind), question_type(kind))
    yield from _pairs(metrics.pair_accuracy)
    for name, part in metrics.subsets.items():
        yield Quantity("overall", "", part.overall, part.questions, subset(name), name)
        for kind, value in part.per_answer_type.items():
            yield Quantity("answer_type", kind, value, None, subset(name, kind), name)
        yield from _pairs(part.pair_accuracy, name)


def _pairs(pairs: Mapping[str, PairAccuracy], name: str = "") -> Iterator[Quantity]:
    for kind, pair in pairs.items():
        yield Quantity("pair_accuracy", kind, pair.accuracy, pair.pairs, None, name)
