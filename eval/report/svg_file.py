"""Charts as a file of their own, in light and dark as its viewer has it: panels side by side over a legend."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from markupsafe import Markup, escape
from vqa_gs.eval.report_content.marks import WIDTH, Chart, marker, shorten

_GAP, _TITLE, _ROW, _FONT = 24, 24, 20, "system-ui, 'DejaVu Sans', sans-serif"


def svg_file(charts: Sequence[Chart], series: Sequence[str], sides: bool = False) -> str:
    """Returns a file; the same numbers give the same bytes.

    Args:
        charts: the panels, from the left.
        series: what the markers stand for, or the bars.
        sides: whether these are bars, in-domain before OOD, in place of the arms' markers.
    """
    drawings = [found for chart in charts if (found := chart.draw())]
    width = len(drawings) * (WIDTH + _GAP) + _GAP
    below = _TITLE + max((found.height for found in drawings), default=0) + 14
    style = (resources.files("vqa_gs.eval.report") / "templates/charts.css").read_text(encoding="utf-8")
    parts = [f"<style>{style}</style>", f'<rect width="{width}" height="100%" style="fill: var(--card)"/>']
    for index, found in enumerate(drawings):
        x = _GAP + index * (WIDTH + _GAP)
        parts.append(f'<text class="name" x="{x}" y="17">{escape(shorten(found.title, 54))}</text>')
        parts.append(
            f'<svg x="{x}" y="{_TITLE}" width="{WIDTH}" height="{found.height:.0f}" '
            f'viewBox="0 0 {WIDTH} {found.height:.0f}">{"".join(found.parts)}</svg>'
        )
    columns = max(1, len(drawings) * 2)
    for index, name in enumerate(series):
        left = _GAP + index % columns * (WIDTH + _GAP) / 2
        y = below + index // columns * _ROW
        key = _bar(index, left, y) if sides else marker(index, left + 6, y)
        parts.append(f'{key}<text x="{left + 18:.0f}" y="{y + 4:.0f}">')
        parts.append(f"{escape(shorten(name, 28))}</text>")
    height = below + -(-len(series) // columns) * _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" font-family="{_FONT}">{Markup("").join(map(Markup, parts))}</svg>\n'
    )


def _bar(index: int, left: float, y: float) -> str:
    """Returns the key of a side's bars."""
    return f'<rect class="bar {("in", "ood")[index]}" x="{left:.0f}" y="{y - 6:.0f}" width="12" height="12" rx="2"/>'
