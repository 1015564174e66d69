"""Whether a model knows when it is right: reliability, calibration error, entropy."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Figures, Section
from vqa_gs.eval.report.breakdowns import Measure, found, measure_table
from vqa_gs.eval.report.charts.lines import Line, LineChart
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.report.sections import section


def reliability_chart(content: Content, split: str) -> LineChart | None:
    """Returns accuracy by confidence, a line a run; on the diagonal a model is as often right as it says."""
    lines = []
    for index, arm in enumerate(content.arms):
        for run in arm.runs:
            bins = found(run.metrics[split], "calibration", "bins") if split in run.metrics else None
            points = tuple((float(row["confidence"]), float(row["accuracy"])) for row in bins or ())
            if points:
                lines.append(Line(run.name, index, points, mean=len(arm.runs) == 1))
    title = f"Accuracy by confidence: {content.splits.label(split)}, % ({content.scoring})"
    return LineChart(title, tuple(lines), across="confidence, %", diagonal=True) if lines else None


@section("calibration", 66)
def build(content: Content) -> Section | None:
    """Returns the reliability diagrams and the table."""
    notes = (
        f"Accuracy as scored by {content.rule}. Expected calibration error: 15 bins of equal width, in points "
        "(Guo et al., 2017); lower is better. Entropy of the distribution over answers in nats.",
    )
    measures = [
        Measure("expected calibration error", "calibration", "ece", count=("calibration", "questions")),
        Measure("mean confidence, %", "calibration", "confidence"),
        Measure("accuracy, %", "calibration", "accuracy"),
        Measure("entropy, right answers", "calibration", "entropy", "right"),
        Measure("entropy, wrong answers", "calibration", "entropy", "wrong"),
    ]
    table = measure_table(content, "Calibration", notes, measures)
    if table is None:
        return None
    charts = [chart for split in content.splits.names if (chart := reliability_chart(content, split))]
    figures = (Figures(tuple(charts), "arms"),) if charts else ()
    return Section("Calibration", "calibration", "Calibration", (*figures, table))
