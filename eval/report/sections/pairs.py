"""Pair accuracy: how many pairs of questions are answered right at both ends."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Cell, Column, Section, Table, count_cell, make_table, text_cell
from vqa_gs.eval.report.breakdowns import Measure, keys, measure_table
from vqa_gs.eval.report.content import BOLD_NOTE, Content
from vqa_gs.eval.report.sections import section
from vqa_gs.eval.runs import PairAccuracy

_ENDS = {
    "both_right": "both ends right",
    "one_right": "one end right",
    "none_right": "no end right",
    "same_answer": "same answer to both",
}


def consistency(content: Content) -> Table | None:
    """Returns what becomes of the two ends of each kind of pair."""
    measures = [
        Measure(f"{kind}: {label}", "pair_consistency", kind, name, count=("pair_consistency", kind, "pairs"))
        for kind in keys(content, "pair_consistency")
        for name, label in _ENDS.items()
    ]
    notes = (
        f"In % of the pairs; right: a full score under {content.rule}.",
        "The ends have different true answers, so the same answer to both is wrong for one of them at least.",
    )
    return measure_table(content, "What becomes of the pairs", notes, measures, "pairs")


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
    found = [block for block in (table, consistency(content)) if block]
    return Section("Pair consistency", "pairs", "Pairs", tuple(found)) if found else None
