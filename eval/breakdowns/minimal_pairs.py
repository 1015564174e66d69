"""MMVP (Tong et al., CVPR 2024): one question about two images that look alike to CLIP."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.group_breakdown import GroupBreakdown, spread_of
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

_BOTH_RIGHT = "pairs, both right"


@BREAKDOWNS.register("minimal_pairs")
class MinimalPairs(GroupBreakdown, frozen=True):
    """Percent of the pairs of which both answers are right, one is, none is."""

    order: ClassVar[int] = 45
    study: ClassVar[StudyKind | None] = StudyKind(
        "minimal_pairs", "Pairs of images (MMVP)", "Percent of the pairs with both answers right.", "Pairs", "pairs, %"
    )

    pairs: int
    both_right: float
    one_right: float
    none_right: float

    @classmethod
    def of(cls, scored: Scored) -> MinimalPairs | None:
        """Computes the section."""
        pairs = scored.evidence.groups.minimal_pairs
        if not pairs:
            return None
        rows = scored.rows_of(pairs)
        right = fully_right(scored.scores)[rows].sum(axis=1)
        spread = spread_of(scored, rows[:, 0], {_BOTH_RIGHT: (right == 2, np.ones(len(pairs)))})
        return cls(
            len(pairs), *(100 * int((right == number).sum()) / len(pairs) for number in (2, 1, 0)), spread=spread
        )

    def lines(self, rule: str) -> list[str]:
        """Returns the pair accuracy."""
        return [f"both right of {self.pairs:,} pairs of images: {self.both_right:.2f} % ({rule})"]

    def measured(self) -> dict[str, Measured]:
        """Returns the pair accuracy."""
        return {_BOTH_RIGHT: Measured(self.both_right, self.pairs)}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[MinimalPairs]] = [
            MeasureRow(label, at(name), at("pairs"), best_is_high=name == "both_right")
            for name, label in (("both_right", "both right"), ("one_right", "one right"), ("none_right", "none right"))
        ]
        notes = (content.note(), "A pair is right where both of its answers are (Tong et al., 2024).", BOLD_NOTE)
        table = measure_table(content, MinimalPairs, "Pairs of images", notes, rows, "pairs")
        return Section("Pairs of images", "minimal-pairs", "MMVP", (table,)) if table else None
