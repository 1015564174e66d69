"""Scores on named parts of each split."""

from __future__ import annotations

from collections.abc import Callable

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Cell, Column, Section, count_cell, make_table, text_cell
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content, ordered_answer_types
from vqa_gs.eval.report_content.resampling import Group, subset
from vqa_gs.eval.runs import PairAccuracy, SubsetMetrics

_EMPTY = SubsetMetrics()
Row = tuple[Cell, ...] | None


def subset_rows(content: Content, name: str) -> list[Row]:
    """Returns a subset's rows: overall, each answer type, each kind of pair."""
    parts = [metrics.subsets[name] for metrics in content.metrics() if name in metrics.subsets]
    counts = content.counts(lambda metrics: metrics.subsets.get(name, _EMPTY).questions or None)
    counted = [count_cell(count) for count in counts]
    blank = [Cell("") for _ in counts]

    def row(
        label: str, first: list[Cell], pick: Callable[[SubsetMetrics], float | None], group: Group | None = None
    ) -> Row:
        def spread(arm: Arm, split: str) -> Spread | None:
            return arm.spread(split, lambda metrics: pick(metrics.subsets.get(name, _EMPTY)))

        return content.score_row([text_cell(name), text_cell(label), *first], spread, group)

    def of_type(kind: str) -> Row:
        return row(kind, blank, lambda part: part.per_answer_type.get(kind))

    def of_pairs(kind: str) -> Row:
        return row(f"pairs: {kind}", blank, lambda part: part.pair_accuracy.get(kind, PairAccuracy()).accuracy)

    return [
        row("overall", counted, lambda part: part.overall, subset(name)),
        *map(of_type, ordered_answer_types(kind for part in parts for kind in part.per_answer_type)),
        *map(of_pairs, sorted({kind for part in parts for kind in part.pair_accuracy})),
    ]


@section("subsets", 50)
def build(content: Content) -> Section | None:
    """Returns the table of the subsets."""
    names = sorted({name for metrics in content.metrics() for name in metrics.subsets})
    columns = [
        Column("subset", numeric=False),
        Column("measure", numeric=False),
        *content.count_columns("questions"),
        *content.arm_columns(),
    ]
    notes = (content.note(), "Scores on named parts of each split.", BOLD_NOTE)
    rows = [row for name in names for row in subset_rows(content, name)]
    table = make_table("Subsets", notes, columns, rows)
    return Section("Subsets", "subsets", "Subsets", (table,)) if table else None
