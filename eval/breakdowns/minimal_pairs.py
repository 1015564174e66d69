"""MMVP (Tong et al., CVPR 2024): one question about two images that look alike to CLIP."""

from __future__ import annotations

from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table


@BREAKDOWNS.register("minimal_pairs")
class MinimalPairs(Breakdown, frozen=True):
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
        right = fully_right(scored.scores)[scored.rows_of(pairs)].sum(axis=1)
        return cls(len(pairs), *(100 * int((right == number).sum()) / len(pairs) for number in (2, 1, 0)))

    def lines(self, rule: str) -> list[str]:
        """Returns the pair accuracy."""
        return [f"both right of {self.pairs:,} pairs of images: {self.both_right:.2f} % ({rule})"]

    def measured(self) -> dict[str, Measured]:
        """Returns the pair accuracy."""
        return {"pairs, both right": Measured(self.both_right, self.pairs)}

    on_card = measured

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
