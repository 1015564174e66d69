"""A report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from vqa_gs.eval.report.part import Part
from vqa_gs.eval.report_content.blocks import Table
from vqa_gs.eval.report_content.marks import swatch

from vqa_gs.common.web import script_hash

_SCRIPTS = ("tables.js", "examples.js")


def column_groups(table: Table) -> list[tuple[str, int]]:
    """Returns the headings over a table's columns and how many columns each spans; none if there are none."""
    groups: list[tuple[str, int]] = []
    for column in table.columns:
        if groups and column.group and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups if any(name for name, _ in groups) else []


def render_html(title: str, written: str, parts: Sequence[Part], files: Sequence[tuple[str, str]] = ()) -> str:
    """Returns the report as an HTML page.

    Everything that comes from the runs is escaped; besides, the page allows no script but its own, by hash.

    Args:
        title: the report's title.
        written: by what and when it was written.
        parts: one for each scoring rule.
        files: files beside the page, each its name and its address.
    """
    loader = PackageLoader("vqa_gs.eval.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["groups"] = column_groups
    environment.globals["swatch"] = swatch

    def source(name: str) -> str:
        return loader.get_source(environment, name)[0]

    script = "".join(map(source, _SCRIPTS))
    return environment.get_template("report.html").render(
        title=title,
        written=written,
        parts=parts,
        files=files,
        script=Markup(script),
        style=Markup(source("charts.css") + source("report.css")),
        script_hash=script_hash(script),
    )
