"""FPVG (Reich, Putze, Schultz, *Measuring Faithful and Plausible Visual Grounding in VQA*, Findings of EMNLP 2023)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Measured, StudyKind
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.group_breakdown import GroupBreakdown, spread_of
from vqa_gs.eval.metrics import fully_right
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

from vqa_gs.data.normalize import answer_form

_LABELS = {
    "good": "good grounding",
    "good_right": "good grounding, right (GGC)",
    "good_wrong": "good grounding, wrong (GGW)",
    "bad_right": "bad grounding, right (BGC)",
    "bad_wrong": "bad grounding, wrong (BGW)",
}


@BREAKDOWNS.register("fpvg")
class Fpvg(GroupBreakdown, frozen=True):
    """Whether answers come from the regions that matter.

    Grounding is good where the answer stays as it is with the relevant regions alone and changes with the irrelevant
    ones alone, whether it is right or wrong. Questions count that were answered with both, which needs a region of each
    kind.

    Attributes:
        questions: how many count.
        good: percent with good grounding; the other fields split it, and its contrary, by right and wrong answers.
    """

    order: ClassVar[int] = 69
    study: ClassVar[StudyKind | None] = StudyKind(
        "fpvg",
        "Faithful and plausible grounding (FPVG)",
        "Percent of the questions whose answer stays with relevant regions alone and changes with irrelevant ones.",
        "FPVG",
        "questions, %",
    )

    questions: int
    good: float
    good_right: float
    good_wrong: float
    bad_right: float
    bad_wrong: float

    @classmethod
    def of(cls, scored: Scored) -> Fpvg | None:
        """Computes the section; None where no question was answered with both kinds of regions."""
        restricted = scored.evidence.restricted
        if restricted is None:
            return None
        form, right = answer_form(scored.rule), fully_right(scored.scores)
        rows, well = [], []
        for key, row in scored.row_of.items():
            answer = scored.answers[row]
            if answer is None or key not in restricted.relevant or key not in restricted.irrelevant:
                continue
            stays = form(restricted.relevant[key]) == answer
            changes = form(restricted.irrelevant[key]) != answer
            rows.append(row)
            well.append(stays and changes)
        if not rows:
            return None
        good, fully, ones = np.array(well), np.asarray(right[rows]), np.ones(len(rows))
        kinds = {
            "good": good,
            "good_right": good & fully,
            "good_wrong": good & ~fully,
            "bad_right": ~good & fully,
            "bad_wrong": ~good & ~fully,
        }
        shares = {name: 100 * int(those.sum()) / len(rows) for name, those in kinds.items()}
        sums = {_LABELS[name]: (those, ones) for name, those in kinds.items()}
        return cls(len(rows), **shares, spread=spread_of(scored, np.array(rows), sums))

    def lines(self, rule: str) -> list[str]:
        """Returns the shares."""
        ways = ", ".join(f"{name.replace('_', ' ')} {getattr(self, name):.2f}" for name in list(_LABELS)[1:])
        return [f"FPVG of {self.questions:,} questions: good grounding {self.good:.2f} % ({ways}; {rule})"]

    def measured(self) -> dict[str, Measured]:
        """Returns the share with good grounding."""
        return {"good grounding": Measured(self.good, self.questions)}

    def on_card(self) -> dict[str, Measured]:
        """Returns all shares."""
        return {
            f"FPVG: {label}": Measured(getattr(self, name), self.questions, self.spread.get(label))
            for name, label in _LABELS.items()
        }

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[Fpvg]] = [
            MeasureRow(label, at(name), at("questions"), best_is_high=name == "good") for name, label in _LABELS.items()
        ]
        notes = (
            f"In % of the questions with regions of both kinds; right: a full score under {content.rule}.",
            "Good: the answer stays with the relevant regions alone and changes with the irrelevant ones alone.",
        )
        table = measure_table(content, Fpvg, "Faithful and plausible grounding", notes, rows)
        return Section("Faithful and plausible grounding", "fpvg", "FPVG", (table,)) if table else None
