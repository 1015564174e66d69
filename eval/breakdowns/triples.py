"""ViLP (Luo et al., 2025): one question about an image as language expects it, and about two that are otherwise."""

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

_MODES = {"fact": "ViLP-F", "prior": "ViLP-P"}


@BREAKDOWNS.register("vilp")
class Vilp(GroupBreakdown, frozen=True):
    """Accuracy where the image contradicts what language expects, and where it does not.

    Attributes:
        mode: ``fact``: the question tells the fact first (ViLP-F); ``prior``: it does not (ViLP-P).
        questions: how many, about three images each.
        score: accuracy on the two images that contradict the prior, in percent.
        prior: accuracy on the image that agrees with it.
        all_right: percent of the questions that are right about all three.
    """

    order: ClassVar[int] = 46
    study: ClassVar[StudyKind | None] = StudyKind(
        "vilp",
        "Against the language's prior (ViLP)",
        "Score: accuracy on the two images that contradict what language expects; prior: on the one that does not.",
        "ViLP",
        "%",
    )

    mode: str
    questions: int
    score: float
    prior: float
    all_right: float

    @classmethod
    def of(cls, scored: Scored) -> Vilp | None:
        """Computes the section."""
        triples, mode = scored.evidence.groups.triples, scored.evidence.groups.mode
        if not triples:
            return None
        rows = scored.rows_of(triples)
        right = fully_right(scored.scores)[rows]
        count = len(triples)
        first, second, third = (int(column.sum()) for column in right.T)
        name = _MODES.get(mode, "ViLP")
        sums = {
            f"{name} score": (right[:, 1:].sum(axis=1), np.full(count, 2)),
            f"{name} prior": (right[:, 0], np.ones(count)),
        }
        return cls(
            mode,
            count,
            100 * (second + third) / (2 * count),
            100 * first / count,
            100 * int(right.all(axis=1).sum()) / count,
            spread=spread_of(scored, rows[:, 1], sums),
        )

    @property
    def name(self) -> str:
        """What the authors call the mode."""
        return _MODES.get(self.mode, "ViLP")

    def lines(self, rule: str) -> list[str]:
        """Returns score and prior."""
        return [
            f"{self.name} of {self.questions:,} questions: score {self.score:.2f} %, prior {self.prior:.2f} % ({rule})"
        ]

    def measured(self) -> dict[str, Measured]:
        """Returns score and prior."""
        return {
            f"{self.name} score": Measured(self.score, self.questions),
            f"{self.name} prior": Measured(self.prior, self.questions),
        }

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[Vilp]] = [
            MeasureRow(label, at(name), at("questions"), best_is_high=True)
            for name, label in (("score", "score"), ("prior", "prior"), ("all_right", "right about all three images"))
        ]
        notes = (
            content.note(),
            "Score: the two images that contradict what language expects; prior: the one that agrees with it.",
            BOLD_NOTE,
        )
        table = measure_table(content, Vilp, "Against the language's prior", notes, rows)
        return Section("Against the language's prior", "vilp", "ViLP", (table,)) if table else None
