"""RAD (Rosenberg et al., *Are VQA Systems RAD?*, 2021): robustness to data augmented to ask the same otherwise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Measured, StudyKind, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.group_breakdown import GroupBreakdown, spread_of
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table


@BREAKDOWNS.register("rad")
class Rad(GroupBreakdown, frozen=True):
    """Percent of the twins that are right, of those whose originals are.

    Right is a full score under the rule. Twins of one original count each; those whose original is not known do not.

    Attributes:
        twins: questions with a known original.
        original_right: how many of their originals are right.
        both_right: how many twins are right too.
        rad: 100 both_right / original_right; None where no original is right.
    """

    order: ClassVar[int] = 44
    study: ClassVar[StudyKind | None] = StudyKind(
        "rad",
        "Right on the twin, given right on the original (RAD)",
        "Percent of the questions asked otherwise that are right, of those whose originals are.",
        "RAD",
        "%",
    )

    twins: int
    original_right: int
    both_right: int
    rad: float | None

    @classmethod
    def of(cls, scored: Scored) -> Rad | None:
        """Computes the section."""
        originals = scored.evidence.originals
        if not originals:
            return None
        known = [(row, originals[key]) for key, row in scored.row_of.items() if key in originals]
        if not known:
            return None
        rows, of_original = (np.array(column) for column in zip(*known, strict=True))
        before = fully_right(of_original.astype(np.float64))
        after = before & fully_right(scored.scores[rows])
        both, right = int(after.sum()), int(before.sum())
        spread = spread_of(scored, rows, {"RAD": (after, before)})
        return cls(len(known), right, both, 100 * both / right if right else None, spread=spread)

    def lines(self, rule: str) -> list[str]:
        """Returns RAD."""
        return [f"RAD {shown(self.rad)} % of {self.original_right:,} twins whose originals are right ({rule})"]

    def measured(self) -> dict[str, Measured]:
        """Returns RAD."""
        return {} if self.rad is None else {"RAD": Measured(self.rad, self.original_right)}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[Rad]] = [MeasureRow("RAD", at("rad"), at("original_right"), best_is_high=True)]
        notes = (content.note(), "RAD: right on the twin, in % of the twins whose originals are right.", BOLD_NOTE)
        table = measure_table(content, Rad, "Asked otherwise (RAD)", notes, rows, "originals that are right")
        return Section("Asked otherwise (RAD)", "rad", "RAD", (table,)) if table else None
