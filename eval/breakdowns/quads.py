"""NaturalBench (Li et al., NeurIPS 2024): two questions about two images, whose answers change with the image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.group_breakdown import GroupBreakdown, spread_of
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

_LABELS = {"accuracy": "Acc", "question": "Q-Acc", "image": "I-Acc", "group": "G-Acc"}


@BREAKDOWNS.register("natural_bench")
class NaturalBench(GroupBreakdown, frozen=True):
    """Accuracy by question, by image and by group of two questions about two images.

    Attributes:
        groups: how many there are.
        accuracy: Acc: percent of the answers that are right.
        question: Q-Acc: percent of the questions that are right about both images.
        image: I-Acc: percent of the images about which both questions are right.
        group: G-Acc: percent of the groups of which all four answers are right.
    """

    order: ClassVar[int] = 42
    study: ClassVar[StudyKind | None] = StudyKind(
        "natural_bench",
        "NaturalBench",
        "Q-Acc: a question right about both images; I-Acc: both questions right about an image; G-Acc: all four, in %.",
        "NaturalBench",
        "%",
    )

    groups: int
    accuracy: float
    question: float
    image: float
    group: float

    @classmethod
    def of(cls, scored: Scored) -> NaturalBench | None:
        """Computes the section."""
        quads = scored.evidence.groups.quads
        if not quads:
            return None
        rows = scored.rows_of(quads)
        right = fully_right(scored.scores)[rows].reshape(-1, 2, 2)  # groups, questions, images

        def percent(of: npt.ArrayLike) -> float:
            return 100 * int(np.sum(of)) / np.size(of)

        found: dict[str, npt.NDArray[np.bool_]] = {
            "accuracy": right.reshape(-1, 4),
            "question": np.asarray(right.all(axis=2)),
            "image": np.asarray(right.all(axis=1)),
            "group": np.asarray(right.all(axis=(1, 2))).reshape(-1, 1),
        }
        sums = {_LABELS[name]: (of.sum(axis=1), np.full(len(of), of.shape[1])) for name, of in found.items()}
        return cls(len(quads), *map(percent, found.values()), spread=spread_of(scored, rows[:, 0], sums))

    def lines(self, rule: str) -> list[str]:
        """Returns the four accuracies."""
        told = ", ".join(f"{label} {getattr(self, name):.2f}" for name, label in _LABELS.items())
        return [f"NaturalBench, {self.groups:,} groups ({rule}): {told} %"]

    def measured(self) -> dict[str, Measured]:
        """Returns them by name."""
        return {label: Measured(getattr(self, name), self.groups) for name, label in _LABELS.items()}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[NaturalBench]] = [
            MeasureRow(label, at(name), at("groups"), best_is_high=True) for name, label in _LABELS.items()
        ]
        notes = (
            content.note(),
            "Q-Acc: a question right about both images; I-Acc: both questions right about an image; G-Acc: all four.",
            BOLD_NOTE,
        )
        table = measure_table(content, NaturalBench, "NaturalBench", notes, rows, "groups")
        return Section("NaturalBench", "natural-bench", "NaturalBench", (table,)) if table else None
