"""Points in a plane: each arm by two accuracies, to see what one is paid for with the other."""

from __future__ import annotations

import msgspec
from markupsafe import escape
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.report_content.marks import ARM_COLOURS, WIDTH, Chart, Drawing, Estimate, marker, span, ticks, tip


class Point(msgspec.Struct, frozen=True):
    """An arm: its index, which picks colour and shape, and where it stands."""

    label: str
    arm: int
    across: Estimate
    up: Estimate


class Reference(msgspec.Struct, frozen=True):
    """A published result, drawn in grey: its name, and where it stands."""

    label: str
    across: float
    up: float


class PlaneChart(Chart, frozen=True):
    """A marker an arm, with whiskers to both sides; one that is much longer than the arms lie apart ends at the edge.

    Attributes:
        title: what is measured upwards.
        points: the arms.
        across: what is measured across.
        origin: the arm whose place the plane is quartered at: to its upper right is better in both.
        published: what others reported.
    """

    title: str
    points: tuple[Point, ...]
    across: str
    origin: str | None = None
    published: tuple[Reference, ...] = ()

    def draw(self) -> Drawing | None:
        """Returns the panel; None if there is no point."""
        left, right, top, bottom = 40.0, 12.0, 8.0, 258.0
        if not self.points:
            return None

        def scale(values: list[Estimate]) -> list[float]:
            return ticks(*span([one.mean for one in values], [one.reach for one in values]), 5)

        others = [Point(one.label, 0, _exactly(one.across), _exactly(one.up)) for one in self.published]
        shown = [*self.points, *others]
        xs, ys = scale([one.across for one in shown]), scale([one.up for one in shown])

        def place(x: float, y: float) -> tuple[float, float]:
            return (
                left + (x - xs[0]) / (xs[-1] - xs[0]) * (WIDTH - left - right),
                bottom - (y - ys[0]) / (ys[-1] - ys[0]) * (bottom - top),
            )

        parts = []
        for tick in ys:
            _, y = place(xs[0], tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in xs:
            x, _ = place(tick, ys[0])
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick:g}</text>')
        parts.append(
            f'<text class="tick" x="{(left + WIDTH - right) / 2:.1f}" y="{bottom + 29:.1f}" '
            f'text-anchor="middle">{escape(self.across)}</text>'
        )
        for one in others:
            x, y = place(one.across.mean, one.up.mean)
            named = tip(
                f"{one.label} (published)", f"{self.across} {one.across.text()}", f"{self.title} {one.up.text()}"
            )
            parts.append(f'<g>{named}<circle class="published" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>')
        for one in self.points:
            x, y = place(one.across.mean, one.up.mean)
            if one.label == self.origin:
                parts.append(f'<path class="diagonal" d="M{left:.1f} {y:.1f}H{WIDTH - right:.1f}"/>')
                parts.append(f'<path class="diagonal" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        for one in self.points:
            x, y = place(one.across.mean, one.up.mean)
            drawn = []
            if one.across.reach:
                low, high = (place(min(max(end, xs[0]), xs[-1]), ys[0])[0] for end in one.across.reach)
                drawn.append(f"M{low:.1f} {y:.1f}H{high:.1f}")
            if one.up.reach:
                low, high = (place(xs[0], min(max(end, ys[0]), ys[-1]))[1] for end in one.up.reach)
                drawn.append(f"M{x:.1f} {low:.1f}V{high:.1f}")
            whiskers = f'<path class="arm{one.arm % ARM_COLOURS} reach" d="{"".join(drawn)}"/>' if drawn else ""
            named = tip(one.label, f"{self.across} {one.across.text()}", f"{self.title} {one.up.text()}")
            parts.append(f"<g>{named}{whiskers}{marker(one.arm, x, y, 4.5)}</g>")
        names = ", ".join(one.label for one in self.points)
        return Drawing(self.title, f"Against {self.across}, for {names}", bottom + 34, parts)


def _exactly(value: float) -> Estimate:
    return Estimate(Spread((value,)))
