"""GQA's own table: binary and open questions, semantic types."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.breakdowns import Measure, keys, measure_table
from vqa_gs.eval.report.content import BOLD_NOTE, Content
from vqa_gs.eval.report.sections import section


@section("gqa", 38)
def build(content: Content) -> Section | None:
    """Returns the table."""
    measures = [Measure(name, "gqa", name, best_is_high=True) for name in ("binary", "open")]
    for name in keys(content, "gqa", "per_semantic_type"):
        path = ("gqa", "per_semantic_type", name)
        measures.append(Measure(f"semantic: {name}", *path, "accuracy", count=(*path, "questions"), best_is_high=True))
    table = measure_table(content, "GQA's types", (content.note(), BOLD_NOTE), measures)
    return Section("GQA's types", "gqa", "GQA", (table,)) if table else None
