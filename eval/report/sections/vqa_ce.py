"""VQA-CE: questions that shortcuts of the training set answer wrongly."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.breakdowns import Measure, measure_table
from vqa_gs.eval.report.content import BOLD_NOTE, Content
from vqa_gs.eval.report.sections import section


@section("vqa-ce", 36)
def build(content: Content) -> Section | None:
    """Returns the table of counterexamples, easy and hard questions."""
    notes = (
        content.note(),
        "Counterexamples: shortcuts of the training set give a wrong answer; easy: they give the right one; "
        "hard: none applies (Dancette et al., 2021).",
        BOLD_NOTE,
    )
    measures = [
        Measure(name, "vqa_ce", name, "accuracy", count=("vqa_ce", name, "questions"), best_is_high=True)
        for name in ("counterexamples", "easy", "hard")
    ]
    table = measure_table(content, "VQA-CE", notes, measures)
    return Section("VQA-CE", "vqa-ce", "VQA-CE", (table,)) if table else None
