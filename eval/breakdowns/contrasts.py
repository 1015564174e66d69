"""CARETS (Jimenez et al., ACL 2022): whether the answers to two related questions agree as they have to."""

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

from vqa_gs.data.groups import ContrastKind


@BREAKDOWNS.register("carets")
class Carets(GroupBreakdown, frozen=True):
    """Consistency over pairs of questions.

    A pair is consistent where its answers are equal (``invariance``), where they differ (``directional``), or, of
    ``ontological`` pairs, where they are equal if the first one is right: of a wrong one nothing follows. An unanswered
    question makes its pairs inconsistent.

    Attributes:
        kind: which of the three.
        pairs: how many.
        consistent: percent that are.
        comprehensive: percent that are and whose first answer is right.
        first_right: percent whose first answer is right.
    """

    order: ClassVar[int] = 43
    study: ClassVar[StudyKind | None] = StudyKind(
        "carets",
        "Consistency (CARETS)",
        "Percent of the pairs whose answers agree as they have to; comprehensive: and the first is right.",
        "Consistency",
        "pairs, %",
    )

    kind: ContrastKind
    pairs: int
    consistent: float
    comprehensive: float
    first_right: float

    @classmethod
    def of(cls, scored: Scored) -> Carets | None:
        """Computes the section."""
        groups = scored.evidence.groups
        if not groups.contrasts:
            return None
        right, answers, kind = fully_right(scored.scores), scored.answers, groups.contrast_kind
        rows = np.zeros(len(groups.contrasts), np.int64)
        counted = np.zeros((3, len(rows)))  # consistent, comprehensive, the first right
        for at_pair, (a, b) in enumerate(groups.contrasts):
            one, other = scored.row_of[a], scored.row_of[b]
            answered = answers[one] is not None and answers[other] is not None
            equal = answers[one] == answers[other]
            agrees = {"invariance": equal, "directional": not equal, "ontological": equal or not right[one]}[kind]
            rows[at_pair] = one
            counted[:, at_pair] = answered and agrees, answered and agrees and right[one], right[one]
        count = len(rows)
        names = f"{kind}, consistent", f"{kind}, comprehensive"
        sums = {name: (row, np.ones(count)) for name, row in zip(names, counted, strict=False)}
        shares = (100 * int(row.sum()) / count for row in counted)
        return cls(kind, count, *shares, spread=spread_of(scored, rows, sums))

    def lines(self, rule: str) -> list[str]:
        """Returns the shares."""
        return [
            f"{self.kind} of {self.pairs:,} pairs: consistent {self.consistent:.2f} %,"
            f" and right {self.comprehensive:.2f} % ({rule})"
        ]

    def measured(self) -> dict[str, Measured]:
        """Returns consistency and comprehensive accuracy."""
        return {
            f"{self.kind}, consistent": Measured(self.consistent, self.pairs),
            f"{self.kind}, comprehensive": Measured(self.comprehensive, self.pairs),
        }

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[Carets]] = [
            MeasureRow(label, at(name), at("pairs"), best_is_high=True)
            for name, label in (
                ("consistent", "consistent"),
                ("comprehensive", "comprehensive: consistent, and the first right"),
                ("first_right", "the first right"),
            )
        ]
        notes = (
            content.note(),
            "Consistent: equal answers (invariance), different ones (directional), equal ones where the first is right"
            " (ontological); Jimenez et al., 2022.",
            BOLD_NOTE,
        )
        table = measure_table(content, Carets, "Consistency over pairs", notes, rows, "pairs")
        return Section("Consistency over pairs", "carets", "CARETS", (table,)) if table else None
