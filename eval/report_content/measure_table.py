"""A table of a breakdown's numbers: a row a measure, over the seeds of each arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from vqa_gs.eval.report_content.blocks import Cell, Column, Table, count_cell, make_table, text_cell
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import B


@dataclass(frozen=True)
class MeasureRow(Generic[B]):
    """One row of a table of measures.

    Attributes:
        label: what is measured.
        value: takes it out of the breakdown's section.
        count: takes the number of questions it is over, None if nothing says.
        best_is_high: whether the highest may be set off.
    """

    label: str
    value: Callable[[B], float | None]
    count: Callable[[B], int | None] | None = None
    best_is_high: bool = False


def at(*path: str) -> Callable[[Any], Any]:
    """Returns what takes the value at a path of fields and names out of a section, None where the path ends before."""

    def value(found: Any) -> Any:
        for key in path:
            found = found.get(key) if isinstance(found, dict) else getattr(found, key, None)
        return found

    return value


def measure_table(
    content: Content,
    kind: type[B],
    name: str,
    notes: Sequence[str],
    measures: Sequence[MeasureRow[B]],
    counted: str = "questions",
) -> Table | None:
    """Returns a table with a row for each measure that any run has, None if none has any."""
    with_counts = any(measure.count for measure in measures)

    def row(measure: MeasureRow[B]) -> tuple[Cell, ...] | None:
        first = [text_cell(measure.label)]
        for split in content.splits.names if with_counts else ():
            count = content.most(split, content.picking(kind, measure.count)) if measure.count else None
            first.append(Cell("") if count is None else count_cell(count))
        pick = content.picking(kind, measure.value)
        return content.score_row(first, lambda arm, split: arm.spread(split, pick), bold=measure.best_is_high)

    columns = [Column("measure", numeric=False)]
    columns += content.count_columns(counted) if with_counts else []
    columns += content.arm_columns()
    return make_table(name, notes, columns, map(row, measures))
