"""Training curves: losses, in-domain accuracy, and how well the gradients align with the pairs' directions."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Figures, Section
from vqa_gs.eval.report_content.charts.lines import Line, LineChart
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import split_domain

_TITLES = {
    "gs_cosine": "GS alignment (cosine of gradient and pair direction)",
    "gs_loss": "GS loss",
    "answer_loss": "answer loss",
}
_ORDER = ("accuracy", "GS alignment", "loss")
_PARTS = (("acc", "accuracy"), ("align", "GS alignment"), ("cos", "GS alignment"), ("loss", "loss"))


def curve_kind(column: str) -> str | None:
    """Returns what a column of the epochs' table is, None if it is not worth a curve."""
    lowered = column.lower()
    found = next((word for part, word in _PARTS if part in lowered), None)
    return found or ("accuracy" if split_domain(column) else None)


def arm_lines(index: int, arm: Arm, column: str) -> list[Line]:
    """Returns an arm's lines of one column: each seed's, then their mean."""
    seeds = [(run, run.curves.points(column)) for run in arm.runs if run.curves]
    seeds = [(run, found) for run, found in seeds if found]
    if not seeds:
        return []
    by_epoch: dict[float, list[float]] = {}
    for _, found in seeds:
        for epoch, value in found:
            by_epoch.setdefault(epoch, []).append(value)
    # A mean over the seeds that are left when others have stopped would jump: it ends with the first.
    mean = [(epoch, sum(them) / len(them)) for epoch, them in sorted(by_epoch.items()) if len(them) == len(seeds)]
    lines = [Line(f"{arm.name}, {run.name}", index, tuple(found), mean=False) for run, found in seeds]
    if mean:
        lines.append(Line(arm.name, index, tuple(mean), mean=True))
    return lines if len(seeds) > 1 else lines[1:]


@section("training", 70)
def build(content: Content) -> Section | None:
    """Returns a chart for each quantity worth one."""
    columns: dict[str, str] = {}
    for run in content.runs:
        for name in run.curves.columns if run.curves else ():
            if kind := curve_kind(name):
                columns.setdefault(name, kind)
    charts = []
    for name in sorted(columns, key=lambda name: _ORDER.index(columns[name])):
        lines = [line for index, arm in enumerate(content.arms) for line in arm_lines(index, arm, name)]
        if lines:
            title = _TITLES.get(name, name.replace("_", " "))
            if split_domain(name):
                title = f"accuracy on {name}, % ({content.scoring})"
            charts.append(LineChart(title, tuple(lines)))
    if not charts:
        return None
    notes = ("Strong: mean of an arm's seeds; thin: each seed.",)
    return Section("Training", "training", "Training", (Figures(tuple(charts), "arms", notes),))
