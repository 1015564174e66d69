"""A study drawn: in-domain against OOD, accuracy over a swept field, and what breakdowns measure of each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vqa_gs.eval.arms import Spread
from vqa_gs.eval.breakdown import StudyKind, study_kinds
from vqa_gs.eval.report_content.charts.bars import Bar, BarChart, bar_ceiling
from vqa_gs.eval.report_content.charts.dots import DotChart, Series
from vqa_gs.eval.report_content.charts.lines import Line, LineChart
from vqa_gs.eval.report_content.charts.plane import PlaneChart, Point
from vqa_gs.eval.report_content.content import Content, examples_word
from vqa_gs.eval.report_content.marks import ARM_COLOURS, Chart, Estimate, span, ticks
from vqa_gs.eval.statistics import PERCENT
from vqa_gs.study.arms import slug
from vqa_gs.study.results import Measure, Score, possible
from vqa_gs.study.summary import ArmState, Dataset

# More question types are no longer told apart in a figure.
_ROWS = 7


@dataclass(frozen=True)
class StudyFigure:
    """A figure, a panel a split.

    Attributes:
        name: the file's name, without a folder.
        title: what it shows.
        panels: its charts.
        series: what the markers stand for, or the bars.
        about: the heading of the table that it shows, "" for that of the arms.
        sides: whether it is of bars, in-domain and OOD.
    """

    name: str
    title: str
    panels: tuple[Chart, ...]
    series: tuple[str, ...]
    about: str = ""
    sides: bool = False


def figures_of(data: Dataset, content: Content, drawn: Sequence[str] = ()) -> list[StudyFigure]:
    """Returns the figures of one dataset under one scoring rule: the trade between splits, sweeps, breakdowns.

    Args:
        data: the dataset.
        content: its runs under the rule.
        drawn: the arms whose breakdowns are drawn, in this order; none: all. There are at most as many as colours.
    """
    measures = [
        one for one in data.measures if one.scoring == content.scoring and not content.splits.is_other_look(one.split)
    ]
    rule = content.scoring if len(data.contents) > 1 else ""

    def figure(
        names: Sequence[str], title: str, panels: Sequence[Chart], series: Sequence[str], about: str = ""
    ) -> StudyFigure:
        full = title + (f", {data.name}" if data.name else "")
        file = slug("-".join(part for part in names if part)) + ".svg"
        return StudyFigure(file, f"{full} ({content.scoring})", tuple(panels), tuple(series), about)

    figures = []
    overall = [one for one in measures if one.kind == "overall"]
    if bars := bar_charts(measures, content, data):
        one = figure((data.name, "bars", rule), "Accuracy by arm", bars, ("in-domain", "OOD"))
        figures.append(replace(one, sides=True))
    planes = _planes(measures, content, data)
    if planes:
        labels = list(dict.fromkeys(point.label for plane in planes for point in plane.points))
        figures.append(figure((data.name, "trade", rule), "OOD against in-domain accuracy", [*planes], labels))
    for field in dict.fromkeys(arm.field for arm in data.arms if arm.field and _is_number(arm.value)):
        families: dict[str, list[ArmState]] = {}
        for arm in data.arms:
            if arm.field == field and _is_number(arm.value) and any(arm.name in one.arms for one in overall):
                families.setdefault(arm.family, []).append(arm)
        if families:
            panels: list[Chart] = [_sweep(field, families, one, content, _levels(data, families)) for one in overall]
            figures.append(figure((data.name, field, rule), f"Accuracy over {field}", panels, list(families)))
    for kind in study_kinds():
        found = [one for one in measures if one.kind == kind.kind]
        if found:
            there = dict.fromkeys(arm for one in found for arm in one.arms)
            # Of a study under way, the arms to draw may not have been run yet.
            arms = ([arm for arm in drawn if arm in there] or list(there))[:ARM_COLOURS]
            names = (data.name, kind.title.lower(), rule)
            panels = _breakdown(found, content, arms, kind)
            figures.append(figure(names, kind.title, panels, arms, kind.heading))
    return figures


def bar_charts(measures: Sequence[Measure], content: Content, data: Dataset) -> list[BarChart]:
    """Returns bars of all arms, in-domain and OOD, on all questions and on each subset, on one scale."""
    sides = (content.splits.in_domain, content.splits.ood)
    wanted = [
        one for one in measures if one.split in sides and one.kind in ("overall", "subset") and ":" not in one.name
    ]
    drawn: dict[str, tuple[Bar, ...]] = {}
    for name in dict.fromkeys(one.name for one in wanted):
        at = {one.split: one.arms for one in wanted if one.name == name}
        inside, outside = (at.get(side or "", {}) for side in sides)
        drawn_bars = [
            Bar(arm.name, *(_estimate(one[arm.name]) if arm.name in one else None for one in (inside, outside)))
            for arm in data.arms
            if arm.name in inside or arm.name in outside
        ]
        drawn[name or f"All {examples_word(content.scoring)}"] = tuple(drawn_bars)
    ceiling = bar_ceiling([bar for bars in drawn.values() for bar in bars])
    return [BarChart(f"{name}: accuracy, %", bars, ceiling) for name, bars in drawn.items() if bars]


def _planes(measures: Sequence[Measure], content: Content, data: Dataset) -> list[PlaneChart]:
    """Returns a panel for all OOD questions and one a subset, an arm a point; none where there are no two splits."""
    inside, outside = content.splits.in_domain, content.splits.ood
    across = next((one for one in measures if one.split == inside and one.kind == "overall"), None)
    if across is None or outside is None:
        return []
    arms = [arm.name for arm in data.arms if arm.name in across.arms]
    controls = [arm for state in data.arms for arm in state.against]
    charts = []
    for one in measures:
        # Answer types of subsets go by "subset: type".
        if one.split == outside and (one.kind == "overall" or (one.kind == "subset" and ":" not in one.name)):
            points = tuple(
                Point(arm, index, _estimate(across.arms[arm]), _estimate(one.arms[arm]))
                for index, arm in enumerate(arms)
                if arm in one.arms
            )
            title = f"{content.splits.label(outside)}{f', {one.name}' if one.name else ''}: accuracy, %"
            origin = max(dict.fromkeys(controls), key=controls.count) if controls else None
            charts.append(PlaneChart(title, points, f"{content.splits.label(str(inside))}: accuracy, %", origin))
    return charts if len(arms) > 1 else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _levels(data: Dataset, families: dict[str, list[ArmState]]) -> list[str]:
    """Returns the arms without a sweep that swept ones are tested against."""
    swept = {arm.name for arms in families.values() for arm in arms}
    against = {name for arms in families.values() for arm in arms for name in arm.against}
    return [arm.name for arm in data.arms if arm.name in against - swept]


def _sweep(
    field: str, families: dict[str, list[ArmState]], one: Measure, content: Content, levels: Sequence[str]
) -> LineChart:
    lines = []
    for index, (family, arms) in enumerate(families.items()):
        points = sorted((float(arm.value), arm.name) for arm in arms if arm.name in one.arms)
        scores = [one.arms[name].over_seeds for _, name in points]
        if points:
            means = tuple((value, score.mean) for (value, _), score in zip(points, scores, strict=True))
            lines.append(Line(family, index, means, mean=True, reach=tuple(score.shown_interval for score in scores)))
    swept = sorted({float(arm.value) for arms in families.values() for arm in arms})
    log = len(swept) > 1 and min(swept) > 0 and max(swept) / min(swept) >= 8
    return LineChart(
        f"{content.splits.label(one.split)}: accuracy, % ({one.scoring})",
        tuple(lines),
        across=field,
        levels=tuple((name, one.arms[name].over_seeds.mean) for name in levels if name in one.arms),
        at=tuple(swept),
        log=log and closest(np.log(swept)) > closest(swept),
    )


def closest(values: Sequence[float] | np.ndarray) -> float:
    """Returns the least gap of rising numbers, as a share of their range: labels on it must not run into each other."""
    gaps = np.diff(values)
    return float(gaps.min() / gaps.sum())


def _breakdown(measures: Sequence[Measure], content: Content, arms: Sequence[str], kind: StudyKind) -> list[Chart]:
    """Returns a panel a split: a row a measure, a mark an arm, all on one axis."""
    asked: dict[str, int] = {}
    for one in measures:
        if one.name != kind.level:
            asked[one.name] = asked.get(one.name, 0) + (one.count or 0)
    # The whole, whose name is "", stands first.
    names = sorted(asked, key=lambda name: (name != "", -asked[name], name))[:_ROWS]
    bounds = possible(kind.kind)
    shown = [one.arms[arm] for one in measures for arm in arms if one.name in names and arm in one.arms]
    drawn = [_estimate(score, bounds) for score in shown]
    low, high = span([0.0, *(score.mean for score in drawn)], [score.reach for score in drawn])
    rounded = ticks(low, high)
    charts: list[Chart] = []
    for split in content.splits.first_looks:
        at = {one.name: one for one in measures if one.split == split}
        if not at:
            continue
        series = tuple(
            Series(
                arm,
                tuple(
                    _estimate(at[name].arms[arm], bounds) if name in at and arm in at[name].arms else None
                    for name in names
                ),
            )
            for arm in arms
        )
        level = None
        if kind.level in at:
            level = (kind.level, next(iter(at[kind.level].arms.values())).over_seeds.mean)
        charts.append(
            DotChart(
                f"{content.splits.label(split)}: {kind.axis}",
                tuple(name or "all" for name in names),
                series,
                ceiling=rounded[-1],
                floor=rounded[0],
                level=level,
            )
        )
    return charts


def _estimate(score: Score, bounds: tuple[float, float] = PERCENT) -> Estimate:
    """Returns a score as charts draw it, with its interval."""
    found = score.over_seeds
    return Estimate(Spread(tuple(found.values.values())), found.shown_interval, bounds)
