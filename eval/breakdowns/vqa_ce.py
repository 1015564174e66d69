"""VQA-CE (Dancette et al., ICCV 2021): questions that shortcuts of the training set answer wrongly."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

from vqa_gs.common.errors import UsageError

_PARTS = ("counterexamples", "easy", "hard")


class Part(msgspec.Struct, frozen=True):
    """Accuracy on some questions, None of none."""

    accuracy: float | None
    questions: int


@BREAKDOWNS.register("vqa_ce")
class VqaCe(Breakdown, frozen=True):
    """Accuracy on counterexamples, on hard questions (no rule matches), and on the rest, the easy ones."""

    order: ClassVar[int] = 36

    counterexamples: Part
    easy: Part
    hard: Part

    @classmethod
    def of(cls, scored: Scored) -> VqaCe | None:
        """Computes the section.

        Raises:
            UsageError: a question is on both lists, or none of the set is on either.
        """
        evidence = scored.evidence
        if evidence.counterexamples is None or evidence.hard is None:
            return None
        inside = {}
        for name, listed in (("counterexamples", evidence.counterexamples), ("hard", evidence.hard)):
            rows = [scored.row_of[question_id] for question_id in listed if question_id in scored.row_of]
            inside[name] = np.zeros(len(scored.scores), np.bool_)
            inside[name][rows] = True
        if (inside["counterexamples"] & inside["hard"]).any():
            row = int(np.argmax(inside["counterexamples"] & inside["hard"]))
            raise UsageError(
                f"question {scored.questions.question_ids[row]!r} is both a counterexample and hard",
                mend="give VQA-CE's own two lists",
            )
        if not (inside["counterexamples"] | inside["hard"]).any():
            raise UsageError(
                "none of the questions is on VQA-CE's lists", mend="the lists are of VQA v2's validation questions"
            )
        inside["easy"] = ~(inside["counterexamples"] | inside["hard"])
        return cls(*(Part(scored.accuracy(inside[name]), int(inside[name].sum())) for name in _PARTS))

    def lines(self, rule: str) -> list[str]:
        """Returns the three accuracies."""
        parts = ((name, getattr(self, name)) for name in _PARTS)
        told = (f"{name} {shown(part.accuracy)} % of {part.questions:,}" for name, part in parts)
        return [f"VQA-CE ({rule}): {', '.join(told)}"]

    def on_card(self) -> dict[str, Measured]:
        """Returns the three accuracies."""
        parts = ((name, getattr(self, name)) for name in _PARTS)
        return {f"VQA-CE, {name}": Measured(one.accuracy, one.questions) for name, one in parts if one.questions}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table of counterexamples, easy and hard questions."""
        notes = (
            content.note(),
            "Counterexamples: shortcuts of the training set give a wrong answer; easy: they give the right one; "
            "hard: none applies (Dancette et al., 2021).",
            BOLD_NOTE,
        )
        measures = [
            MeasureRow[VqaCe](name, at(name, "accuracy"), at(name, "questions"), best_is_high=True) for name in _PARTS
        ]
        table = measure_table(content, VqaCe, "VQA-CE", notes, measures)
        return Section("VQA-CE", "vqa-ce", "VQA-CE", (table,)) if table else None
