"""Reading the breakdowns of metrics files: a number by its path, over the seeds of an arm; tables of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report.blocks import Cell, Column, Table, count_cell, make_table, text_cell
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.runs import SplitMetrics

Pick = Callable[[Arm, str], Spread | None]


def found(metrics: SplitMetrics, *path: str) -> Any:
    """Returns what lies at a path in a file's breakdowns, None if the path ends before."""
    value: Any = metrics.breakdowns
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def number(metrics: SplitMetrics, *path: str) -> float | None:
    """Returns the number at a path in a file's breakdowns, None if there is none."""
    value = found(metrics, *path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def at(*path: str) -> Pick:
    """Returns what takes the number at a path, over the seeds of an arm."""
    return lambda arm, split: arm.spread(split, lambda metrics: number(metrics, *path))


def keys(content: Content, *path: str) -> list[str]:
    """Returns the names at a path in any file's breakdowns, sorted."""
    tables = [found(metrics, *path) for metrics in content.metrics()]
    return sorted({str(key) for table in tables if isinstance(table, dict) for key in table})


def splits_with(content: Content, name: str) -> list[str]:
    """Returns the splits on which any run has a breakdown."""
    runs = content.runs
    return [
        split
        for split in content.splits.names
        if any(name in run.metrics[split].breakdowns for run in runs if split in run.metrics)
    ]


class Measure:
    """One row of a table of measures.

    Args:
        label: what is measured.
        path: where it lies in the breakdowns.
        count: where the number of questions it is over lies, () if nowhere.
        best_is_high: whether the highest may be set off.
    """

    def __init__(self, label: str, *path: str, count: Sequence[str] = (), best_is_high: bool = False) -> None:
        self.label = label
        self.path = path
        self.count = tuple(count)
        self.best_is_high = best_is_high


def measure_table(
    content: Content, name: str, notes: Sequence[str], measures: Sequence[Measure], counted: str = "questions"
) -> Table | None:
    """Returns a table with a row for each measure that any run has, None if none has any."""
    count_paths = any(measure.count for measure in measures)

    def row(measure: Measure) -> tuple[Cell, ...] | None:
        first = [text_cell(measure.label)]
        if count_paths:
            for split in content.splits.names:
                value = content.most(split, lambda metrics: _whole(metrics, measure.count)) if measure.count else None
                first.append(Cell("") if value is None else count_cell(value))
        return content.score_row(first, at(*measure.path), bold=measure.best_is_high)

    columns = [Column("measure", numeric=False)]
    columns += content.count_columns(counted) if count_paths else []
    columns += content.arm_columns()
    return make_table(name, notes, columns, map(row, measures))


def _whole(metrics: SplitMetrics, path: Sequence[str]) -> int | None:
    value = number(metrics, *path)
    return None if value is None else int(value)
