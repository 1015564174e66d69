"""Accuracy by question type: a dot for each arm, and the table that sorts and filters."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Cell, Column, Figures, Section, count_cell, make_table, text_cell
from vqa_gs.eval.report_content.charts.dots import DotChart, Series
from vqa_gs.eval.report_content.charts.sparks import interval_spark
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.marks import Estimate
from vqa_gs.eval.report_content.resampling import question_type

DRAWN = 20
DRAWN_BESIDE_MANY = 12


def estimate(content: Content, arm: Arm, split: str, kind: str) -> Estimate | None:
    """Returns the accuracy on one question type as charts draw it."""
    spread = arm.question_type(split, kind)
    return Estimate(spread, content.interval(arm, split, question_type(kind))) if spread else None


def spark(content: Content, split: str, kind: str) -> Cell:
    """Returns the arms' accuracies on one question type as a spark."""
    scores = [estimate(content, arm, split, kind) for arm in content.arms]
    known = [(arm.name, score) for arm, score in zip(content.arms, scores, strict=True) if score]
    described = ", ".join(f"{name} {score.text()}" for name, score in known)
    highest = max((score.mean for _, score in known), default=-1.0)
    return Cell(described, sort=highest, spark=interval_spark(scores, described))


def dot_charts(content: Content, kinds: list[str]) -> tuple[DotChart, ...]:
    """Returns a chart for each side of the shift."""
    charts = []
    for split, title in ((content.splits.ood, "OOD"), (content.splits.in_domain, "In-domain")):
        if split is None or not kinds:
            continue
        series = tuple(
            Series(arm.name, tuple(estimate(content, arm, split, kind) for kind in kinds)) for arm in content.arms
        )
        if any(score for one in series for score in one.values):
            charts.append(DotChart(f"{title}: {split}", tuple(kinds), series))
    return tuple(charts)


@section("question-types", 30)
def build(content: Content) -> Section | None:
    """Returns the dots of the commonest types and the table of all."""
    shown = content.splits.ood or content.splits.in_domain or content.splits.names[0]

    def row(kind: str) -> tuple[int, tuple[Cell, ...] | None]:
        counts = content.counts(lambda metrics: metrics.counts.per_question_type.get(kind))
        first = [text_cell(kind), spark(content, shown, kind), *map(count_cell, counts)]
        cells = content.score_row(first, lambda arm, split: arm.question_type(split, kind), question_type(kind))
        return sum(count or 0 for count in counts), cells

    kinds = sorted({kind for metrics in content.metrics() for kind in metrics.per_question_type})
    ordered = sorted((row(kind) for kind in kinds), key=lambda counted: -counted[0])
    columns = [
        Column("question type", numeric=False),
        Column(f"{content.splits.label(shown)}, 0 to 100", side=content.splits.sides[shown], numeric=False),
        *content.count_columns("questions"),
        *content.arm_columns(),
    ]
    name = "Accuracy by question type"
    notes = (content.note(), content.split_note(), BOLD_NOTE)
    table = make_table(name, notes, columns, (cells for _, cells in ordered), filterable=True)
    if table is None:
        return None
    commonest = [cells[0].text for cells in table.rows]
    drawn = commonest[: DRAWN if len(content.arms) <= 4 else DRAWN_BESIDE_MANY]
    more = len(commonest) > len(drawn)
    note = (f"The {len(drawn)} most frequent of {len(commonest)} question types; the table has all.",) if more else ()
    figures = Figures(dot_charts(content, drawn), "arms", note)
    return Section(name, "types", "Question types", (figures, table))
