"""Lines: quantities over epochs."""

from __future__ import annotations

import math

import msgspec
from markupsafe import escape
from vqa_gs.eval.report_content.marks import ARM_COLOURS, WIDTH, Chart, Drawing, marker, shorten, span, ticks, tip


class Line(msgspec.Struct, frozen=True):
    """One line of a line chart.

    Attributes:
        label: whose line it is.
        arm: the arm's index, which picks the colour.
        points: x, y; ordered by x.
        mean: whether it is an arm's mean, drawn strong, or one seed, drawn thin.
        reach: the lower and upper end of a whisker at each point, where there is one; each point then has a marker.
    """

    label: str
    arm: int
    points: tuple[tuple[float, float], ...]
    mean: bool
    reach: tuple[tuple[float, float] | None, ...] = ()


class LineChart(Chart, frozen=True):
    """A quantity over epochs, or over another: each seed thin, each arm's mean strong, ended by the arm's marker.

    Attributes:
        title: what is measured.
        lines: the arms' lines.
        across: what it is measured over.
        diagonal: whether to draw where both are equal.
        levels: values to compare with, and their names.
        at: where the ticks of the horizontal axis stand; none: at round numbers.
        log: whether that axis is logarithmic.
    """

    title: str
    lines: tuple[Line, ...]
    across: str = "epoch"
    diagonal: bool = False
    levels: tuple[tuple[str, float], ...] = ()
    at: tuple[float, ...] = ()
    log: bool = False

    def draw(self) -> Drawing | None:
        """Returns the None if there is no point."""
        left, right, top, bottom = 44.0, 14.0, 8.0, 178.0
        xs = [x for line in self.lines for x, _ in line.points]
        ys = [y for line in self.lines for _, y in line.points]
        if not xs:
            return None
        ys += [value for _, value in self.levels]
        reaches = [reach for line in self.lines for reach in line.reach if reach]
        low, high = span(ys, reaches)
        y_ticks = ticks(low, high)
        y_low, y_high = y_ticks[0], y_ticks[-1]
        x_low, x_high = min(xs), max(xs)
        along = math.log if self.log else float
        x_span = (along(x_high) - along(x_low)) or 1.0

        def place(x: float, y: float) -> tuple[float, float]:
            across = left + (along(x) - along(x_low)) / x_span * (WIDTH - left - right)
            return across, bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

        parts = []
        for tick in y_ticks:
            _, y = place(x_low, tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>')
        whole = (tick for tick in ticks(x_low, x_high, 6) if x_low <= tick <= x_high and tick == int(tick))
        for tick in self.at or whole:
            x, _ = place(tick, y_low)
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick:g}</text>')
        parts.append(
            f'<text class="tick" x="{(left + WIDTH - right) / 2:.1f}" y="{bottom + 29:.1f}" '
            f'text-anchor="middle">{escape(self.across)}</text>'
        )
        if self.diagonal:
            low, high = max(x_low, y_low), min(x_high, y_high)
            (x1, y1), (x2, y2) = place(low, low), place(high, high)
            parts.append(f'<path class="diagonal" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')
        for index, (name, value) in enumerate(self.levels):
            _, y = place(x_low, value)
            x, anchor = (left + 4, "start") if index % 2 else (WIDTH - right, "end")
            parts.append(f'<path class="diagonal" d="M{left:.1f} {y:.1f}H{WIDTH - right:.1f}">{tip(name)}</path>')
            shown = escape(shorten(name, 26))
            parts.append(f'<text class="tick" x="{x:.1f}" y="{y - 3:.1f}" text-anchor="{anchor}">{shown}</text>')
        for line in sorted(self.lines, key=lambda line: line.mean):
            placed = [place(x, y) for x, y in line.points]
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            weight = "mean" if line.mean else "thin"
            parts.append(
                f'<polyline class="arm{line.arm % ARM_COLOURS} curve {weight}" points="{drawn}">'
                f"{tip(line.label)}</polyline>"
            )
            for (x, _), reach in zip(placed, line.reach, strict=False):
                if reach:
                    ends = "V".join(f"{place(x_low, min(max(end, y_low), y_high))[1]:.1f}" for end in reach)
                    parts.append(f'<path class="arm{line.arm % ARM_COLOURS} reach" d="M{x:.1f} {ends}"/>')
            if line.mean:
                parts += [marker(line.arm, *point, 4.0) for point in (placed if line.reach else placed[-1:])]
        names = list(dict.fromkeys(line.label for line in self.lines if line.mean))
        return Drawing(self.title, f"By {self.across}, for {', '.join(names)}", bottom + 34, parts)
