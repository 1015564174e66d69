"""VQA-Rephrasings (Shah et al., CVPR 2019): whether a question is answered right however it is put."""

from __future__ import annotations

from math import comb
from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

SIZES = (1, 2, 3, 4)


@BREAKDOWNS.register("consensus")
class Consensus(Breakdown, frozen=True):
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
        rows = [[scored.row_of[key] for key in group if key in scored.row_of] for group in given]
        whole = [group for group in rows if len(group) >= SIZES[-1]]
        above = scored.scores > 0
        right = [int(above[group].sum()) for group in whole]
        cs: dict[str, float | None] = {}
        for k in SIZES:
            shares = [comb(m, k) / comb(len(group), k) for m, group in zip(right, whole, strict=True)]
            cs[str(k)] = 100 * sum(shares) / len(shares) if shares else None
        firsts, others = [group[0] for group in whole], [row for group in whole for row in group[1:]]
        return cls(len(whole), len(rows) - len(whole), cs, scored.accuracy(firsts), scored.accuracy(others))

    def lines(self, rule: str) -> list[str]:
        """Returns the four scores."""
        told = ", ".join(f"CS({k}) {shown(value)} %" for k, value in self.cs.items())
        return [f"consensus of {self.groups:,} groups of rephrasings ({rule} above 0): {told}"]

    def measured(self) -> dict[str, Measured]:
        """Returns CS(k) by k."""
        return {f"CS({k})": Measured(value, self.groups) for k, value in self.cs.items() if value is not None}

    on_card = measured

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
