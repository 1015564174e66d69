"""What taking short answers out of long ones did: the scores of the texts as they were written, beside."""

from __future__ import annotations

from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import overall
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table
from vqa_gs.eval.rules import score_questions


@BREAKDOWNS.register("free_form")
class FreeForm(Breakdown, frozen=True):
    """Accuracies of free-form answers as they were written.

    Attributes:
        questions: how many have an answer.
        changed: percent whose text the normalisation shortened (see `vqa_gs.eval.free_form`).
        raw: the raw score: the texts as written, under the set's own rule.
        raw_exact: the raw exact score: percent of the texts that are the majority answer, character by character.
    """

    order: ClassVar[int] = 12

    questions: int
    changed: float
    raw: float
    raw_exact: float

    @classmethod
    def of(cls, scored: Scored) -> FreeForm | None:
        """Computes the section."""
        raw = scored.evidence.raw
        if not raw:
            return None
        rows = [row for key, row in scored.row_of.items() if key in raw]
        texts = [raw[scored.questions.question_ids[row]] for row in rows]
        annotations = [scored.annotations[row] for row in rows]
        exact = sum(text == annotation.majority for text, annotation in zip(texts, annotations, strict=True))
        changed = sum(text != scored.predictions[row] for text, row in zip(texts, rows, strict=True))
        count = len(rows)
        return cls(
            count,
            100 * changed / count,
            overall(score_questions(annotations, texts, scored.rule)),
            100 * exact / count,
        )

    def lines(self, rule: str) -> list[str]:
        """Returns the raw scores."""
        return [
            f"free-form answers: short answers taken out of {self.changed:.2f} % of the texts; as written they score"
            f" {self.raw:.2f} % ({rule}) and {self.raw_exact:.2f} % (raw exact)"
        ]

    def on_card(self) -> dict[str, Measured]:
        """Returns the raw scores."""
        return {
            "texts as written, same rule": Measured(self.raw, self.questions),
            "texts as written, raw exact": Measured(self.raw_exact, self.questions),
        }

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[FreeForm]] = [
            MeasureRow("texts as written, same rule", at("raw"), at("questions")),
            MeasureRow("texts as written, raw exact", at("raw_exact"), at("questions")),
            MeasureRow("texts that were shortened", at("changed"), at("questions")),
        ]
        notes = (
            content.note(),
            "Short answers were taken out of long texts by rules that never look at the true answers (docs/suites.md).",
        )
        table = measure_table(content, FreeForm, "Free-form answers", notes, rows)
        return Section("Free-form answers", "free-form", "Free-form answers", (table,)) if table else None
