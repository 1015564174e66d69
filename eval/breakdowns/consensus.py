"""VQA-Rephrasings (Shah et al., CVPR 2019): whether a question is answered right however it is put."""

from __future__ import annotations

from math import comb
from typing import ClassVar

import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Measured, StudyKind, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.group_breakdown import GroupBreakdown, spread_of
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

SIZES = (1, 2, 3, 4)


@BREAKDOWNS.register("consensus")
class Consensus(GroupBreakdown, frozen=True):
    """Consensus scores over groups of a question and its rephrasings.

    CS(k) of a group of n questions, m of which score above 0, is the share of its subsets of k questions in which all
    do, C(m, k) / C(n, k); of a test the mean over its groups. As in the authors' successors' code (``concat-vqa``) only
    groups of four and more count, for every k alike.

    Attributes:
        groups: how many groups count.
        smaller: how many have fewer than four questions.
        cs: percent by k; None where no group counts.
        original: accuracy on the first questions of the groups that count.
        rephrased: accuracy on the others.
    """

    order: ClassVar[int] = 41
    study: ClassVar[StudyKind | None] = StudyKind(
        "consensus",
        "Consensus over rephrasings",
        "CS(k): percent of the subsets of k questions of a group in which every answer scores above 0.",
        "Consensus over rephrasings",
        "CS(k), %",
    )

    groups: int
    smaller: int
    cs: dict[str, float | None]
    original: float | None
    rephrased: float | None

    @classmethod
    def of(cls, scored: Scored) -> Consensus | None:
        """Computes the section."""
        given = scored.evidence.groups.rephrasings
        if not given:
            return None
        sizes = np.fromiter(map(len, given), np.int64, len(given))
        asked = (key for group in given for key in group)
        rows = np.fromiter((scored.row_of.get(key, -1) for key in asked), np.int64, int(sizes.sum()))
        group = np.repeat(np.arange(len(given)), sizes)[rows >= 0]
        rows = rows[rows >= 0]
        known = np.bincount(group, minlength=len(given))
        right = np.bincount(group[scored.scores[rows] > 0], minlength=len(given))
        counts = known >= SIZES[-1]
        # Groups of one size with as many right ones are alike.
        kinds, of_kind, number = np.unique(
            np.stack([known, right])[:, counts], axis=1, return_inverse=True, return_counts=True
        )
        cs: dict[str, float | None] = dict.fromkeys(map(str, SIZES))
        spread = {}
        if counts.any():
            sums = {}
            for k in SIZES:
                shares = np.array([comb(m, k) / comb(n, k) for n, m in kinds.T.tolist()])
                cs[str(k)] = 100 * float(np.dot(shares, number)) / int(number.sum())
                sums[f"CS({k})"] = shares[of_kind.reshape(-1)], np.ones(int(number.sum()))
            seen, begins = np.unique(group, return_index=True)
            spread = spread_of(scored, rows[begins[counts[seen]]], sums)
        first = np.zeros(len(rows), np.bool_)
        first[np.unique(group, return_index=True)[1]] = True
        inside = counts[group]
        accuracies = (scored.accuracy(rows[inside & where]) for where in (first, ~first))
        return cls(int(counts.sum()), len(given) - int(counts.sum()), cs, *accuracies, spread=spread)

    def lines(self, rule: str) -> list[str]:
        """Returns the four scores."""
        told = ", ".join(f"CS({k}) {shown(value)} %" for k, value in self.cs.items())
        return [f"consensus of {self.groups:,} groups of rephrasings ({rule} above 0): {told}"]

    def measured(self) -> dict[str, Measured]:
        """Returns CS(k) by k."""
        return {f"CS({k})": Measured(value, self.groups) for k, value in self.cs.items() if value is not None}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table of consensus scores."""
        rows: list[MeasureRow[Consensus]] = [
            MeasureRow(f"CS({k})", at("cs", str(k)), at("groups"), best_is_high=True) for k in SIZES
        ]
        rows += [MeasureRow("accuracy, original", at("original"), at("groups"), best_is_high=True)]
        rows += [MeasureRow("accuracy, rephrased", at("rephrased"), best_is_high=True)]
        notes = (
            content.note(),
            "CS(k): % of the subsets of k questions of a group in which every answer scores above 0; groups of four and"
            " more.",
            BOLD_NOTE,
        )
        table = measure_table(content, Consensus, "Consensus over rephrasings", notes, rows, "groups")
        return Section("Consensus over rephrasings", "consensus", "Rephrasings", (table,)) if table else None
