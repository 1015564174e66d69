"""Charts as inline SVG: they take their colours from the page, so they follow light and dark.

Each panel is drawn 360 units wide, the width of a phone; a page lays panels side by side where there is
room. Every text from outside is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup, escape

from eval.runs import Spread

WIDTH = 360
# Marker shapes go round together with the colours, so that arms can be told apart without colour.
ARM_COLOURS = 6
_SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
_ARM = ((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4))
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0, -1.1), (1.05, 0.8), (-1.05, 0.8)],
    "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    # A plus sign: one arm of it, turned by a quarter three times.
    "cross": [
        *_ARM,
        *((-y, x) for x, y in _ARM),
        *((-x, -y) for x, y in _ARM),
        *((y, -x) for x, y in _ARM),
    ],
}


class Bar(msgspec.Struct, frozen=True):
    """One arm of a bar chart: its in-domain bar above its OOD bar; a missing bar is None."""

    label: str
    in_domain: Spread | None
    ood: Spread | None


class Series(msgspec.Struct, frozen=True):
    """One arm of a dot chart: a value a row, None where it has none."""

    label: str
    values: tuple[Spread | None, ...]


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


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Returns about ``count`` round numbers that cover low to high."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        high = low + 1.0
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(size * magnitude for size in (1, 2, 2.5, 5, 10) if size * magnitude >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def shorten(text: str, length: int) -> str:
    """Returns the text, cut to a length with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def marker(index: int, x: float, y: float, size: float = 4.5) -> Markup:
    """Returns the marker of an arm: its colour and its shape."""
    colour = f"arm{index % ARM_COLOURS}"
    shape = _SHAPES[(index + index // ARM_COLOURS) % len(_SHAPES)]
    s = size
    if shape == "circle":
        return Markup(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="{s * 0.95:.1f}"/>')
    if shape == "ring":
        return Markup(f'<circle class="{colour} hollow" cx="{x:.1f}" cy="{y:.1f}" r="{s * 0.8:.1f}"/>')
    if shape == "square":
        side = 1.7 * s
        return Markup(
            f'<rect class="{colour}" x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" '
            f'width="{side:.1f}" height="{side:.1f}"/>'
        )
    corners = _CORNERS[shape]
    points = " ".join(f"{x + dx * s:.1f},{y + dy * s:.1f}" for dx, dy in corners)
    return Markup(f'<polygon class="{colour}" points="{points}"/>')


def swatch(index: int) -> Markup:
    """Returns an arm's marker as a small picture for a legend."""
    inner = marker(index, 8, 8, 5.0)
    return Markup(f'<svg class="swatch" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{inner}</svg>')


def _svg(title: str, description: str, height: float, parts: Sequence[str]) -> Markup:
    """Wraps a panel; ``parts`` are trusted, ``title`` and ``description`` are not."""
    return Markup(
        '<figure class="panel"><figcaption>{}</figcaption>'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></figure>'
    ).format(title, WIDTH, f"{height:.0f}", f"{title}. {description}", Markup("".join(parts)))


def _value(spread: Spread) -> str:
    return f"{spread.mean:.1f}" if spread.std is None else f"{spread.mean:.1f} ± {spread.std:.1f}"


def _tip(*parts: str) -> str:
    return f"<title>{escape(' · '.join(parts))}</title>"


def bar_ceiling(bars: Sequence[Bar]) -> float:
    """Returns a round upper end of the axis, at most 100, that every bar and its whiskers fit under."""
    highest = max((spread.high for bar in bars for spread in (bar.in_domain, bar.ood) if spread), default=0.0)
    return min(100.0, ticks(0.0, max(highest, 1.0))[-1])


def bar_panel(title: str, bars: Sequence[Bar], ceiling: float) -> Markup:
    """Draws in-domain against OOD accuracy for each arm: bars, whiskers of one deviation, a dot a seed.

    Args:
        title: what is measured.
        bars: the arms.
        ceiling: upper end of the axis, the same for panels that are read beside each other.
    """
    left, right, top, row = 2.0, 84.0, 4.0, 55.0
    width = WIDTH - left - right
    bottom = top + row * len(bars)
    scale = width / ceiling
    parts = []
    for tick in ticks(0.0, ceiling):
        if tick > ceiling:
            continue
        x = left + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        anchor = "start" if tick == 0 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="{anchor}">{tick:g}</text>')
    described = []
    for index, bar in enumerate(bars):
        y = top + row * index
        parts.append(
            f'<text class="name" x="{left}" y="{y + 13:.1f}">{_tip(bar.label)}{escape(shorten(bar.label, 44))}</text>'
        )
        for offset, kind, word, spread in (
            (18, "in", "in-domain", bar.in_domain),
            (34, "ood", "OOD", bar.ood),
        ):
            middle = y + offset + 6.5
            if spread is None:
                parts.append(f'<text class="value soft" x="{left + 4}" y="{middle + 4:.1f}">no {word} score</text>')
                continue
            length = spread.mean * scale
            shown = _value(spread)
            described.append(f"{bar.label} {word} {shown}")
            parts.append(
                f'<rect class="bar {kind}" x="{left}" y="{y + offset:.1f}" width="{length:.1f}" '
                f'height="13" rx="2">{_tip(bar.label, word, shown)}</rect>'
            )
            end = length
            if spread.std is not None:
                low = max(0.0, spread.mean - spread.std) * scale + left
                high = min(ceiling, spread.mean + spread.std) * scale + left
                parts.append(f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>')
                for value in spread.values:
                    x = left + value * scale
                    parts.append(f'<circle class="seed" cx="{x:.1f}" cy="{middle:.1f}" r="1.9"/>')
                end = max(end, high - left, *(value * scale for value in spread.values))
            parts.append(f'<text class="value" x="{left + end + 6:.1f}" y="{middle + 4:.1f}">{shown}</text>')
    return _svg(title, "; ".join(described), bottom + 20, parts)


def dot_panel(title: str, rows: Sequence[str], series: Sequence[Series], ceiling: float) -> Markup:
    """Draws one value a row for each arm: a marker at the mean, a whisker of one deviation.

    Args:
        title: what is measured.
        rows: names of the rows, from the top.
        series: the arms, each with a value a row.
        ceiling: upper end of the axis.
    """
    left, right, top = 138.0, 12.0, 18.0
    row = max(20.0, 6.0 * len(series) + 6.0)
    width = WIDTH - left - right
    bottom = top + row * len(rows)
    scale = width / ceiling
    parts = []
    for index in range(0, len(rows), 2):
        parts.append(f'<rect class="band" x="0" y="{top + row * index:.1f}" width="{WIDTH}" height="{row:.1f}"/>')
    for tick in ticks(0.0, ceiling):
        if tick > ceiling:
            continue
        x = left + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        for y in (top - 5, bottom + 13):
            parts.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{tick:g}</text>')
    spacing = min(6.0, (row - 8.0) / max(1, len(series) - 1))
    for index, name in enumerate(rows):
        middle = top + row * (index + 0.5)
        parts.append(
            f'<text class="row" x="{left - 8}" y="{middle + 3.5:.1f}" text-anchor="end">{_tip(name)}'
            f"{escape(shorten(name, 21))}</text>"
        )
        for arm, one in enumerate(series):
            spread = one.values[index]
            if spread is None:
                continue
            x = left + spread.mean * scale
            y = middle + (arm - (len(series) - 1) / 2) * spacing
            whisker = ""
            if spread.std is not None:
                low = left + max(0.0, spread.mean - spread.std) * scale
                high = left + min(ceiling, spread.mean + spread.std) * scale
                whisker = f'<path class="arm{arm % ARM_COLOURS} reach" d="M{low:.1f} {y:.1f}H{high:.1f}"/>'
            parts.append(f"<g>{_tip(name, one.label, _value(spread))}{whisker}{marker(arm, x, y, 3.6)}</g>")
    described = f"{len(rows)} rows, {len(series)} arms; the numbers are in the table"
    return _svg(title, described, bottom + 20, parts)


def line_panel(title: str, lines: Sequence[Line]) -> Markup:
    """Draws quantities over epochs: each seed thin, each arm's mean strong, ended by the arm's marker."""
    left, right, top, bottom = 44.0, 14.0, 8.0, 178.0
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
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
        f'text-anchor="middle">epoch</text>'
    )
    for line in sorted(lines, key=lambda line: line.mean):
        placed = [place(x, y) for x, y in line.points]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        weight = "mean" if line.mean else "thin"
        parts.append(
            f'<polyline class="arm{line.arm % ARM_COLOURS} curve {weight}" points="{drawn}">'
            f"{_tip(line.label)}</polyline>"
        )
        if line.mean:
            parts.append(marker(line.arm, *placed[-1], 4.0))
    names = list(dict.fromkeys(line.label for line in lines if line.mean))
    return _svg(title, f"By epoch, for {', '.join(names)}", bottom + 34, parts)
