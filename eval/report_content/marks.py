"""What all charts share: round ticks, the arms' markers, the frame of a panel.

Charts are inline SVG that takes its colours from the page, so they follow light, dark and print. Each panel is
drawn 360 units wide, the width of a phone; a page lays panels side by side where there is room. Every text from
outside is escaped here or by the chart that prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
from markupsafe import Markup
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.statistics import PERCENT

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


class Estimate(msgspec.Struct, frozen=True):
    """A score as charts draw it: over seeds, and with its interval over questions where that is known.

    Attributes:
        spread: over seeds.
        interval: None where it is not known.
        possible: the lowest and the highest value that there are.
    """

    spread: Spread
    interval: tuple[float, float] | None = None
    possible: tuple[float, float] = PERCENT

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return self.spread.mean

    @property
    def reach(self) -> tuple[float, float] | None:
        """What the whisker spans: the interval, else one deviation to both sides, else nothing."""
        if self.interval is not None or self.spread.std is None:
            return self.interval
        low, high = self.possible
        return max(low, self.mean - self.spread.std), min(high, self.mean + self.spread.std)

    @property
    def high(self) -> float:
        """The upper end of all that is drawn."""
        return max((self.spread.high, *(self.reach or ())))

    def text(self) -> str:
        """Returns the mean, with its deviation where there is one."""
        return value_text(self.spread)


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


def span(values: Sequence[float], whiskers: Iterable[tuple[float, float] | None] = ()) -> tuple[float, float]:
    """Returns what an axis has to show: all values, and whiskers that are not much longer than these lie apart.

    A whisker may be many times as long as all means lie apart; an axis that showed it whole would show nothing else.
    Such a whisker runs to the edge.
    """
    low, high = min(values), max(values)
    margin = max((high - low) / 2, 1.0)
    ends = [end for whisker in whiskers for end in whisker or ()]
    return max(low - margin, min([low, *ends])), min(high + margin, max([high, *ends]))


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


class Drawing(msgspec.Struct, frozen=True):
    """A panel as it is drawn, `WIDTH` units wide.

    Attributes:
        title: what it shows, from outside.
        description: the same in words, from outside.
        height: in the same units.
        parts: SVG elements, their texts escaped.
    """

    title: str
    description: str
    height: float
    parts: list[str]


class Chart(msgspec.Struct, frozen=True):
    """A chart; what it measures stands in its ``title``."""

    def draw(self) -> Drawing | None:
        """Returns the panel, None if there is nothing to draw."""
        raise NotImplementedError

    def svg(self) -> Markup:
        """Returns the panel for a page, "" if there is nothing to draw."""
        found = self.draw()
        if found is None:
            return Markup("")
        return Markup(
            '<figure class="panel"><figcaption>{}</figcaption>'
            '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></figure>'
        ).format(
            found.title,
            WIDTH,
            f"{found.height:.0f}",
            f"{found.title}. {found.description}",
            Markup("".join(found.parts)),
        )


def value_text(spread: Spread) -> str:
    """Returns a mean, with its deviation where there is one."""
    return f"{spread.mean:.1f}" if spread.std is None else f"{spread.mean:.1f} ± {spread.std:.1f}"


def tip(*parts: str) -> Markup:
    """Returns what a browser shows when a mark is pointed at."""
    return Markup("<title>{}</title>").format(" · ".join(parts))
