"""Answer distributions: the shares of the commonest answers in training, in truth and as predicted."""

from __future__ import annotations

import msgspec
from markupsafe import escape
from vqa_gs.eval.report_content.marks import WIDTH, Chart, Drawing, marker, shorten, ticks, tip


class AnswerShares(msgspec.Struct, frozen=True):
    """One answer's shares in 0..1.

    Attributes:
        answer: the answer.
        truth: among the majority answers of the split.
        train: among those of training, None where training is not known.
        predicted: among each arm's answers, None where an arm has none.
    """

    answer: str
    truth: float
    train: float | None
    predicted: tuple[float | None, ...]


class AnswerChart(Chart, frozen=True):
    """The answers of one question type: a bar for the truth, a tick for training, a marker for each arm."""

    title: str
    shares: tuple[AnswerShares, ...]

    def draw(self) -> Drawing:
        """Returns the panel."""
        left, right, top, row = 112.0, 14.0, 4.0, 24.0
        highest = max(
            share for one in self.shares for share in (one.truth, one.train, *one.predicted) if share is not None
        )
        ceiling = min(1.0, ticks(0.0, max(highest, 0.01))[-1])
        scale = (WIDTH - left - right) / ceiling
        bottom = top + row * len(self.shares)
        parts = []
        for tick in ticks(0.0, ceiling):
            if tick <= ceiling + 1e-9:
                x = left + tick * scale
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
                label = f"{100 * tick:g}{' %' if tick == 0 else ''}"
                parts.append(
                    f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{label}</text>'
                )
        described = []
        for index, one in enumerate(self.shares):
            y = top + row * index
            middle = y + row / 2
            words = [f"truth {100 * one.truth:.1f} %"]
            parts.append(
                f'<text class="row" x="{left - 8}" y="{middle + 3.5:.1f}" text-anchor="end">{tip(one.answer)}'
                f"{escape(shorten(one.answer, 16))}</text>"
            )
            shown = tip(one.answer, words[0])
            parts.append(
                f'<rect class="truth" x="{left}" y="{middle - 7:.1f}" width="{one.truth * scale:.1f}" '
                f'height="14">{shown}</rect>'
            )
            if one.train is not None:
                x = left + one.train * scale
                words.append(f"train {100 * one.train:.1f} %")
                parts.append(
                    f'<path class="train" d="M{x:.1f} {middle - 9:.1f}V{middle + 9:.1f}">'
                    f"{tip(one.answer, words[-1])}</path>"
                )
            spacing = min(6.0, 14.0 / max(1, len(one.predicted)))
            for arm, share in enumerate(one.predicted):
                if share is not None:
                    offset = (arm - (len(one.predicted) - 1) / 2) * spacing
                    parts.append(marker(arm, left + share * scale, middle + offset, 3.4))
                    words.append(f"arm {arm + 1} {100 * share:.1f} %")
            described.append(f"{one.answer}: {', '.join(words)}")
        return Drawing(self.title, "; ".join(described), bottom + 20, parts)
