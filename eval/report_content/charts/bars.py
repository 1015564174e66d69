"""Bars: in-domain against OOD accuracy of each arm."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import escape
from vqa_gs.eval.report_content.marks import WIDTH, Chart, Drawing, Estimate, shorten, ticks, tip


class Bar(msgspec.Struct, frozen=True):
    """One arm of a bar chart: its in-domain bar above its OOD bar; a missing bar is None."""

    label: str
    in_domain: Estimate | None
    ood: Estimate | None


def bar_ceiling(bars: Sequence[Bar]) -> float:
    """Returns a round upper end of the axis, at most 100, that every bar and its whiskers fit under."""
    highest = max((score.high for bar in bars for score in (bar.in_domain, bar.ood) if score), default=0.0)
    return min(100.0, ticks(0.0, max(highest, 1.0))[-1])


class BarChart(Chart, frozen=True):
    """In-domain against OOD accuracy for each arm: bars, a whisker, a dot a seed.

    Attributes:
        title: what is measured.
        bars: the arms.
        ceiling: upper end of the axis, the same for charts that are read beside each other.
    """

    title: str
    bars: tuple[Bar, ...]
    ceiling: float

    def draw(self) -> Drawing:
        """Returns the panel."""
        left, right, top, row = 2.0, 84.0, 4.0, 55.0
        width = WIDTH - left - right
        bottom = top + row * len(self.bars)
        scale = width / self.ceiling
        parts = []
        for tick in ticks(0.0, self.ceiling):
            if tick > self.ceiling:
                continue
            x = left + tick * scale
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
            anchor = "start" if tick == 0 else "middle"
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="{anchor}">{tick:g}</text>')
        described = []
        for index, bar in enumerate(self.bars):
            y = top + row * index
            name = f"{tip(bar.label)}{escape(shorten(bar.label, 44))}"
            parts.append(f'<text class="name" x="{left}" y="{y + 13:.1f}">{name}</text>')
            for offset, kind, word, score in (
                (18, "in", "in-domain", bar.in_domain),
                (34, "ood", "OOD", bar.ood),
            ):
                middle = y + offset + 6.5
                if score is None:
                    parts.append(f'<text class="value soft" x="{left + 4}" y="{middle + 4:.1f}">no {word} score</text>')
                    continue
                length = score.mean * scale
                shown = score.text()
                described.append(f"{bar.label} {word} {shown}")
                parts.append(
                    f'<rect class="bar {kind}" x="{left}" y="{y + offset:.1f}" width="{length:.1f}" '
                    f'height="13" rx="2">{tip(bar.label, word, shown)}</rect>'
                )
                end = length
                if score.reach is not None:
                    low, high = (left + min(max(value, 0.0), self.ceiling) * scale for value in score.reach)
                    parts.append(f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>')
                    end = max(end, high - left)
                if score.spread.count > 1:
                    for value in score.spread.values:
                        parts.append(
                            f'<circle class="seed" cx="{left + value * scale:.1f}" cy="{middle:.1f}" r="1.9"/>'
                        )
                        end = max(end, value * scale)
                parts.append(f'<text class="value" x="{left + end + 6:.1f}" y="{middle + 4:.1f}">{shown}</text>')
        return Drawing(self.title, "; ".join(described), bottom + 20, parts)
