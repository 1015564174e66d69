"""Charts of a curve that every run has, a line a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vqa_gs.eval.report_content.charts.lines import Line, LineChart
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import SplitMetrics

Points = Sequence[tuple[float, float]]


def run_curves(
    content: Content, title: str, pick: Callable[[SplitMetrics], Points | None], across: str, *, diagonal: bool = False
) -> tuple[LineChart, ...]:
    """Returns a chart a split, where any run has the curve.

    Args:
        content: the runs.
        title: what is measured.
        pick: takes the curve out of a run's scores on a split.
        across: what it is measured over.
        diagonal: whether to draw where both are equal.
    """
    charts = []
    for split in content.splits.names:
        lines = [
            Line(run.name, index, tuple(points), mean=len(arm.runs) == 1)
            for index, arm in enumerate(content.arms)
            for run in arm.runs
            if split in run.metrics and (points := pick(run.metrics[split]))
        ]
        if lines:
            full = f"{title}: {content.splits.label(split)}, % ({content.scoring})"
            charts.append(LineChart(full, tuple(lines), across=across, diagonal=diagonal))
    return tuple(charts)
