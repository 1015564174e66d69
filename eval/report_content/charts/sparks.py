"""Word-sized charts that stand in the cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from vqa_gs.eval.report_content.marks import ARM_COLOURS, Estimate, marker

_WIDTH = 132


def interval_spark(scores: Sequence[Estimate | None], described: str) -> Markup:
    """Returns the arms' scores on one axis from 0 to 100, a marker and a whisker each, one below the other.

    Args:
        scores: of the arms, None where one has none.
        described: the same in words.
    """
    step = 5.0
    height = max(18.0, step * len(scores) + 8.0)
    scale = (_WIDTH - 12) / 100
    parts = [f'<path class="grid" d="M{6 + value * scale:.1f} 1V{height - 1:.1f}"/>' for value in (0, 25, 50, 75, 100)]
    top = (height - step * (len(scores) - 1)) / 2
    for arm, score in enumerate(scores):
        if score is None:
            continue
        y = top + arm * step
        if score.reach is not None:
            low, high = (6 + min(max(value, 0.0), 100.0) * scale for value in score.reach)
            parts.append(f'<path class="arm{arm % ARM_COLOURS} reach" d="M{low:.1f} {y:.1f}H{high:.1f}"/>')
        parts.append(marker(arm, 6 + score.mean * scale, y, 2.7))
    return _svg(described, height, parts)


def line_spark(points: Sequence[tuple[float, float]], arm: int, described: str) -> Markup:
    """Returns one quantity over time as a line that ends in the arm's marker, nothing for fewer than two points."""
    if len(points) < 2:
        return Markup("")
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)
    across, up = (max(xs) - min(xs)) or 1.0, (high - low) or 1.0
    placed = [(6 + (x - min(xs)) / across * (_WIDTH - 12), 17 - (y - low) / up * 13) for x, y in points]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    line = f'<polyline class="arm{arm % ARM_COLOURS} curve" points="{drawn}"/>'
    return _svg(described, 20, [line, marker(arm, *placed[-1], 2.7)])


def _svg(described: str, height: float, parts: Sequence[str]) -> Markup:
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, f"{height:.0f}", _WIDTH, f"{height:.0f}", described, Markup("".join(parts)))
