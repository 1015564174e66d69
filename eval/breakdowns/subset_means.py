"""Means over subsets, each counting the same whatever its size: VQA-VS's over its nine OOD tests, for one."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import overall
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table


class SubsetMean(msgspec.Struct, frozen=True):
    """A mean of accuracies.

    Attributes:
        accuracy: percent.
        subsets: their names, in order.
        questions: over all of them; a question that is in several counts in each.
    """

    accuracy: float
    subsets: list[str]
    questions: int


@BREAKDOWNS.register("subset_means")
class SubsetMeans(Breakdown, frozen=True):
    """Means of accuracies on named subsets. In the file the means' names are the fields."""

    order: ClassVar[int] = 52
    study: ClassVar[StudyKind | None] = StudyKind(
        "subset_means",
        "Means over subsets",
        "Each subset counts the same, whatever its size.",
        "Means over subsets",
        "%",
    )

    means: dict[str, SubsetMean]

    @classmethod
    def of(cls, scored: Scored) -> SubsetMeans | None:
        """Computes the section."""
        found = {}
        for name, subsets in scored.evidence.means.items():
            rows = [scored.rows_of([ids]).reshape(-1) for ids in subsets.values()]
            accuracies = [overall(scored.scores[part]) for part in rows]
            found[name] = SubsetMean(sum(accuracies) / len(accuracies), list(subsets), sum(map(len, rows)))
        return cls(found) if found else None

    @classmethod
    def from_json(cls, content: Any) -> SubsetMeans:
        """Reads the section."""
        return cls(msgspec.convert(content, dict[str, SubsetMean]))

    def to_json(self) -> Any:
        """Returns the section as plain containers."""
        return msgspec.to_builtins(self.means)

    def lines(self, rule: str) -> list[str]:
        """Returns a line a mean."""
        return [
            f"{name}: {one.accuracy:.2f} % over {len(one.subsets)} subsets ({rule})" for name, one in self.means.items()
        ]

    def measured(self) -> dict[str, Measured]:
        """Returns the means."""
        return {name: Measured(one.accuracy, one.questions) for name, one in self.means.items()}

    on_card = measured

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        names = sorted({name for one in content.breakdowns(SubsetMeans) for name in one.means})
        rows: list[MeasureRow[SubsetMeans]] = [
            MeasureRow(name, at("means", name, "accuracy"), at("means", name, "questions"), best_is_high=True)
            for name in names
        ]
        notes = (content.note(), "Each subset counts the same, whatever its size.", BOLD_NOTE)
        table = measure_table(content, SubsetMeans, "Means over subsets", notes, rows)
        return Section("Means over subsets", "subset-means", "Means", (table,)) if table else None
