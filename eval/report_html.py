"""A report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval import charts
from eval.report_content import Section, Table, question_chart_rows
from eval.runs import Arm, Spread

QUESTION_TYPES_DRAWN = 20
QUESTION_TYPES_DRAWN_BESIDE_MANY = 12
_CURVE_WORDS = (
    ("acc", "accuracy"),
    ("align", "GS alignment"),
    ("cos", "GS alignment"),
    ("loss", "loss"),
)
_CURVE_ORDER = ("loss", "accuracy", "GS alignment")


class Panels(msgspec.Struct, frozen=True):
    """A section's charts."""

    bars: list[Markup]
    dots: list[Markup]
    dots_note: str
    curves: list[Markup]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eval", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groups"] = column_groups
    environment.globals["swatch"] = charts.swatch
    return environment


def column_groups(table: Table) -> list[tuple[str, int]]:
    """Returns the headings over a table's columns and how many columns each spans; none if there are none."""
    groups: list[tuple[str, int]] = []
    for column in table.columns:
        if groups and column.group and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups if any(name for name, _ in groups) else []


def _bar_panels(section: Section) -> list[Markup]:
    splits = section.splits

    def bars(pick: Callable[[Arm, str], Spread | None]) -> list[charts.Bar]:
        return [
            charts.Bar(
                arm.name,
                pick(arm, splits.in_domain) if splits.in_domain else None,
                pick(arm, splits.ood) if splits.ood else None,
            )
            for arm in section.arms
        ]

    def of(kind: str) -> Callable[[Arm, str], Spread | None]:
        return lambda arm, split: arm.answer_type(split, kind)

    drawn = [("All questions", bars(lambda arm, split: arm.overall(split)))]
    kinds = dict.fromkeys(column.group for column in section.accuracy.columns if column.group)
    drawn += [(kind, bars(of(kind))) for kind in kinds if kind != "overall"]
    drawn = [(name, found) for name, found in drawn if any(bar.in_domain or bar.ood for bar in found)]
    ceiling = charts.bar_ceiling([bar for _, found in drawn for bar in found])
    return [charts.bar_panel(name, found, ceiling) for name, found in drawn]


def _dot_panels(section: Section) -> tuple[list[Markup], str]:
    limit = QUESTION_TYPES_DRAWN if len(section.arms) <= 4 else QUESTION_TYPES_DRAWN_BESIDE_MANY
    kinds, total = question_chart_rows(section, limit)
    panels = []
    for split, title in ((section.splits.ood, "OOD"), (section.splits.in_domain, "In-domain")):
        if split is None or not kinds:
            continue
        series = [
            charts.Series(arm.name, tuple(arm.question_type(split, kind) for kind in kinds)) for arm in section.arms
        ]
        if any(spread for one in series for spread in one.values):
            panels.append(charts.dot_panel(f"{title}: {split}", kinds, series, 100.0))
    note = f"The {len(kinds)} most frequent of {total} question types; the table has all." if total > len(kinds) else ""
    return panels, note


def _curve_kind(column: str) -> str | None:
    lowered = column.lower()
    return next((word for part, word in _CURVE_WORDS if part in lowered), None)


def _arm_lines(index: int, arm: Arm, column: str) -> list[charts.Line]:
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
    lines = [charts.Line(f"{arm.name}, {run.name}", index, tuple(found), mean=False) for run, found in seeds]
    if mean:
        lines.append(charts.Line(arm.name, index, tuple(mean), mean=True))
    return lines if len(seeds) > 1 else lines[1:]


def _curve_panels(section: Section) -> list[Markup]:
    columns: dict[str, str] = {}
    for arm in section.arms:
        for run in arm.runs:
            for name in run.curves.columns if run.curves else ():
                if kind := _curve_kind(name):
                    columns.setdefault(name, kind)
    panels = []
    for name in sorted(columns, key=lambda name: _CURVE_ORDER.index(columns[name])):
        lines = [line for index, arm in enumerate(section.arms) for line in _arm_lines(index, arm, name)]
        if lines:
            panels.append(charts.line_panel(name.replace("_", " "), lines))
    return panels


def _panels(section: Section) -> Panels:
    dots, note = _dot_panels(section)
    return Panels(_bar_panels(section), dots, note, _curve_panels(section))


def render_html(title: str, written: str, sections: Sequence[Section]) -> str:
    """Returns the report as an HTML page.

    Everything that comes from the runs is escaped; besides, the page allows no script but its own, by hash.

    Args:
        title: the report's title.
        written: by what and when it was written.
        sections: one for each scoring rule.
    """
    environment = _environment()
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "report.js")[0]
    style = environment.loader.get_source(environment, "report.css")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("report.html").render(
        title=title,
        written=written,
        sections=[(section, _panels(section)) for section in sections],
        script=Markup(script),
        style=Markup(style),
        script_hash=digest,
    )
