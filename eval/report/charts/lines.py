"""Lines: quantities over epochs."""

from __future__ import annotations

import msgspec
from markupsafe import Markup, escape
from vqa_gs.eval.report.marks import ARM_COLOURS, WIDTH, marker, panel, ticks, tip


class Line(msgspec.Struct, frozen=True):
    """One line of a line chart.

    Attributes:
        label: whose line it is.
        arm: the arm's index, which picks the colour.
        points: x, y; ordered by x.
        mean: whether it is an arm's mean, drawn strong, or one seed, drawn thin.
    """

    label: str
    arm: int
    points: tuple[tuple[float, float], ...]
    mean: bool


class LineChart(msgspec.Struct, frozen=True):
    """A quantity over epochs, or over another: each seed thin, each arm's mean strong, ended by the arm's marker.

    Attributes:
        title: what is measured.
        lines: the arms' lines.
        across: what it is measured over.
        diagonal: whether to draw where both are equal.
    """

    title: str
    lines: tuple[Line, ...]
    across: str = "epoch"
    diagonal: bool = False

    def svg(self) -> Markup:
        """Returns the chart, nothing if there is no point."""
        left, right, top, bottom = 44.0, 14.0, 8.0, 178.0
        xs = [x for line in self.lines for x, _ in line.points]
        ys = [y for line in self.lines for _, y in line.points]
        if not xs:
            return Markup("")
        y_ticks = ticks(min(ys), max(ys))
        y_low, y_high = y_ticks[0], y_ticks[-1]
        x_low, x_high = min(xs), max(xs)
        x_span = (x_high - x_low) or 1.0

        def place(x: float, y: float) -> tuple[float, float]:
            across = left + (x - x_low) / x_span * (WIDTH - left - right)
            return across, bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

        parts = []
        for tick in y_ticks:
            _, y = place(x_low, tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in ticks(x_low, x_high, 6):
            if tick < x_low or tick > x_high or tick != int(tick):
                continue
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
        for line in sorted(self.lines, key=lambda line: line.mean):
            placed = [place(x, y) for x, y in line.points]
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            weight = "mean" if line.mean else "thin"
            parts.append(
                f'<polyline class="arm{line.arm % ARM_COLOURS} curve {weight}" points="{drawn}">'
                f"{tip(line.label)}</polyline>"
            )
            if line.mean:
                parts.append(marker(line.arm, *placed[-1], 4.0))
        names = list(dict.fromkeys(line.label for line in self.lines if line.mean))
        return panel(self.title, f"By {self.across}, for {', '.join(names)}", bottom + 34, parts)
