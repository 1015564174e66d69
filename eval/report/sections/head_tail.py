"""Frequent against rare answers, as GQA-OOD defines them, and the curve over its threshold."""

from __future__ import annotations

from collections.abc import Mapping

from vqa_gs.eval.report.blocks import Figures, Section
from vqa_gs.eval.report.breakdowns import Measure, found, measure_table
from vqa_gs.eval.report.charts.lines import Line, LineChart
from vqa_gs.eval.report.content import BOLD_NOTE, Content
from vqa_gs.eval.report.sections import section
from vqa_gs.eval.runs import SplitMetrics


def curve(metrics: SplitMetrics) -> list[tuple[float, float]]:
    """Returns the tail accuracy by alpha."""
    rows = found(metrics, "head_tail", "curve") or []
    known = [row for row in rows if isinstance(row, Mapping) and row.get("tail") is not None]
    return sorted((float(row["alpha"]), float(row["tail"])) for row in known)


def curve_chart(content: Content, split: str) -> LineChart | None:
    """Returns the tail accuracy of each arm over alpha, a thin line a seed."""
    lines = []
    for index, arm in enumerate(content.arms):
        for run in arm.runs:
            points = curve(run.metrics[split]) if split in run.metrics else []
            if points:
                lines.append(Line(run.name, index, tuple(points), mean=len(arm.runs) == 1))
    title = f"Tail accuracy by alpha: {content.splits.label(split)}, % ({content.scoring})"
    return LineChart(title, tuple(lines), across="alpha") if lines else None


@section("head-tail", 34)
def build(content: Content) -> Section | None:
    """Returns the table and a curve for each split."""

    def measure(label: str, *path: str) -> Measure:
        return Measure(
            label, "head_tail", *path, count=("head_tail", *path[:-1], f"{path[-1]}_questions"), best_is_high=True
        )

    notes = (
        content.note(),
        "Tail: answers whose count in their group lies below 1.2 times the mean count of the group's answers "
        "(GQA-OOD, alpha 0.2). Groups are GQA's local groups where the data has them, else question types; "
        "imbalanced ones are those of low entropy.",
        BOLD_NOTE,
    )
    measures = [
        measure("head, imbalanced groups", "head"),
        measure("tail, imbalanced groups", "tail"),
        measure("head, all groups", "all_groups", "head"),
        measure("tail, all groups", "all_groups", "tail"),
    ]
    table = measure_table(content, "Frequent and rare answers", notes, measures)
    if table is None:
        return None
    charts = [chart for split in content.splits.names if (chart := curve_chart(content, split))]
    figures = (Figures(tuple(charts), "arms"),) if charts else ()
    return Section("Frequent and rare answers", "head-tail", "Head and tail", (*figures, table))
