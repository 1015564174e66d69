"""Accuracy by answer type: bars of in-domain against OOD, and the table."""

from __future__ import annotations

from collections.abc import Callable

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Cell, Column, Figures, Section, Table, score_cell, text_cell
from vqa_gs.eval.report_content.charts.bars import Bar, BarChart, bar_ceiling
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content, examples_word, ordered_answer_types
from vqa_gs.eval.report_content.marks import Estimate
from vqa_gs.eval.report_content.resampling import OVERALL, Group, answer_type
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION

Pick = Callable[[Arm, str], Spread | None]


def measures(content: Content) -> list[tuple[str, Group, Pick]]:
    """Returns what is measured: all questions, then each answer type."""

    def overall(arm: Arm, split: str) -> Spread | None:
        return arm.overall(split)

    def of(kind: str) -> Pick:
        return lambda arm, split: arm.answer_type(split, kind)

    kinds = ordered_answer_types(kind for metrics in content.metrics() for kind in metrics.per_answer_type)
    return [("overall", OVERALL, overall), *((kind, answer_type(kind), of(kind)) for kind in kinds)]


def estimate(content: Content, arm: Arm, split: str | None, group: Group, pick: Pick) -> Estimate | None:
    """Returns a score as charts draw it."""
    spread = pick(arm, split) if split else None
    return Estimate(spread, content.interval(arm, split, group)) if spread and split else None


def bar_charts(content: Content) -> tuple[BarChart, ...]:
    """Returns a bar chart for each measure, all on one scale."""
    splits = content.splits
    drawn: dict[str, tuple[Bar, ...]] = {}
    for name, group, pick in measures(content):
        bars = tuple(
            Bar(
                arm.name,
                estimate(content, arm, splits.in_domain, group, pick),
                estimate(content, arm, splits.ood, group, pick),
            )
            for arm in content.arms
        )
        if any(bar.in_domain or bar.ood for bar in bars):
            drawn[f"All {examples_word(content.scoring)}" if group == OVERALL else name] = bars
    ceiling = bar_ceiling([bar for bars in drawn.values() for bar in bars])
    return tuple(BarChart(name, bars, ceiling) for name, bars in drawn.items())


@section("answer-types", 20)
def build(content: Content) -> Section:
    """Returns the bars and the table."""
    columns = [Column("arm", numeric=False)]
    cells: list[list[Cell]] = [[text_cell(arm.name)] for arm in content.arms]
    for name, group, pick in measures(content):
        for split in content.splits.names:
            columns.append(Column(content.splits.label(split), name, content.splits.sides[split]))
            spreads = [pick(arm, split) for arm in content.arms]
            best = content.best(spreads, split, group)
            for index, (arm, spread) in enumerate(zip(content.arms, spreads, strict=True)):
                interval = content.interval(arm, split, group)
                cells[index].append(score_cell(spread, interval, strong=index == best))
    is_map = content.scoring == MEAN_AVERAGE_PRECISION
    name, short = ("Average precision by class", "Classes") if is_map else ("Accuracy by answer type", "Answer types")
    notes = (content.note(), content.split_note(), BOLD_NOTE)
    table = Table(name, notes, tuple(columns), tuple(tuple(row) for row in cells))
    return Section(name, "accuracy", short, (Figures(bar_charts(content), "sides"), table))
