"""Pair accuracy: how many pairs of questions are answered right at both ends."""

from __future__ import annotations

from eval.report.blocks import Cell, Column, Section, count_cell, make_table, text_cell
from eval.report.content import BOLD_NOTE, Content
from eval.report.sections import section
from eval.runs import PairAccuracy


@section("pairs", 40)
def build(content: Content) -> Section | None:
    """Returns the table of the kinds of pairs."""

    def row(kind: str) -> tuple[Cell, ...] | None:
        counts = content.counts(lambda metrics: metrics.pair_accuracy.get(kind, PairAccuracy()).pairs or None)
        first = [text_cell(kind), *map(count_cell, counts)]
        return content.score_row(first, lambda arm, split: arm.pair_accuracy(split, kind))

    kinds = sorted({kind for metrics in content.metrics() for kind in metrics.pair_accuracy})
    columns = [Column("kind of pair", numeric=False), *content.count_columns("pairs"), *content.arm_columns()]
    notes = (content.note(), "A pair counts when both of its questions are answered fully right.", BOLD_NOTE)
    table = make_table("Pair accuracy", notes, columns, map(row, kinds))
    return Section("Pair accuracy", "pairs", "Pairs", (table,)) if table else None
