"""Dots: one value a row for each arm."""

from __future__ import annotations

import msgspec
from markupsafe import escape
from vqa_gs.eval.report_content.marks import ARM_COLOURS, WIDTH, Chart, Drawing, Estimate, marker, shorten, ticks, tip


class Series(msgspec.Struct, frozen=True):
    """One arm of a dot chart: a value a row, None where it has none."""

    label: str
    values: tuple[Estimate | None, ...]


class DotChart(Chart, frozen=True):
    """One value a row for each arm: a marker at the mean, a whisker.

    Attributes:
        title: what is measured.
        rows: names of the rows, from the top.
        series: the arms, each with a value a row.
        ceiling: upper end of the axis.
        floor: its lower end.
        level: a value to compare with, and its name.
    """

    title: str
    rows: tuple[str, ...]
    series: tuple[Series, ...]
    ceiling: float = 100.0
    floor: float = 0.0
    level: tuple[str, float] | None = None

    def draw(self) -> Drawing:
        """Returns the panel."""
        left, right, top = 142.0, 12.0, 18.0
        row = max(20.0, 6.0 * len(self.series) + 6.0)
        width = WIDTH - left - right
        bottom = top + row * len(self.rows)
        scale = width / (self.ceiling - self.floor)

        def place(value: float) -> float:
            return left + (min(max(value, self.floor), self.ceiling) - self.floor) * scale

        parts = []
        for index in range(0, len(self.rows), 2):
            parts.append(f'<rect class="band" x="0" y="{top + row * index:.1f}" width="{WIDTH}" height="{row:.1f}"/>')
        for tick in ticks(self.floor, self.ceiling):
            if tick > self.ceiling:
                continue
            x = place(tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
            for y in (top - 5, bottom + 13):
                parts.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{tick:g}</text>')
        if self.floor < 0:
            parts.append(f'<path class="zero" d="M{place(0):.1f} {top:.1f}V{bottom:.1f}"/>')
        if self.level:
            name, value = self.level
            x = place(value)
            parts.append(f'<path class="diagonal" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 26:.1f}" text-anchor="middle">{escape(name)}</text>'
            )
        spacing = min(6.0, (row - 8.0) / max(1, len(self.series) - 1))
        for index, name in enumerate(self.rows):
            middle = top + row * (index + 0.5)
            parts.append(
                f'<text class="row" x="{left - 8}" y="{middle + 3.5:.1f}" text-anchor="end">{tip(name)}'
                f"{escape(shorten(name, 20))}</text>"
            )
            for arm, one in enumerate(self.series):
                score = one.values[index]
                if score is None:
                    continue
                x = place(score.mean)
                y = middle + (arm - (len(self.series) - 1) / 2) * spacing
                whisker = ""
                if score.reach is not None:
                    low, high = map(place, score.reach)
                    whisker = f'<path class="arm{arm % ARM_COLOURS} reach" d="M{low:.1f} {y:.1f}H{high:.1f}"/>'
                parts.append(f"<g>{tip(name, one.label, score.text())}{whisker}{marker(arm, x, y, 3.6)}</g>")
        described = f"{len(self.rows)} rows, {len(self.series)} arms; the numbers are in the table"
        return Drawing(self.title, described, bottom + (32 if self.level else 20), parts)
