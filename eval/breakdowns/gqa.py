"""GQA's own table: binary and open questions, structural and semantic types."""

from __future__ import annotations

from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import GroupMean, by_group
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table


@BREAKDOWNS.register("gqa")
class Gqa(Breakdown, frozen=True):
    """Accuracy on binary and open questions and by semantic type, as GQA's evaluation prints it.

    Structural types are the question types of a GQA set, so they stand in ``per_question_type`` already.
    """

    order: ClassVar[int] = 38

    binary: float | None
    open: float | None
    per_semantic_type: dict[str, GroupMean]

    @classmethod
    def of(cls, scored: Scored) -> Gqa | None:
        """Computes the section."""
        semantic = scored.evidence.semantic_types
        if semantic is None:
            return None
        labels = [semantic[question_id] for question_id in scored.questions.question_ids]
        by_answer = by_group(scored.scores, [annotation.answer_type for annotation in scored.annotations])
        binary, open_ = (by_answer[kind].accuracy if kind in by_answer else None for kind in ("binary", "open"))
        return cls(binary, open_, by_group(scored.scores, labels))

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        measures: list[MeasureRow[Gqa]] = [MeasureRow(name, at(name), best_is_high=True) for name in ("binary", "open")]
        for name in sorted({name for one in content.breakdowns(Gqa) for name in one.per_semantic_type}):
            accuracy, count = (at("per_semantic_type", name, field) for field in ("accuracy", "questions"))
            measures.append(MeasureRow(f"semantic: {name}", accuracy, count, best_is_high=True))
        table = measure_table(content, Gqa, "GQA's types", (content.note(), BOLD_NOTE), measures)
        return Section("GQA's types", "gqa", "GQA", (table,)) if table else None
