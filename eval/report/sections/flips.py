"""Edited images (IV-VQA, CV-VQA): how often an answer flips that ought to stay, or stays that ought to drop."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.breakdowns import Measure, measure_table
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.report.sections import section

_MEASURES = {
    "accuracy_before": "right before the edit",
    "accuracy_after": "right after the edit",
    "flips": "flips, all",
    "pos_neg": "flips, right to wrong",
    "neg_pos": "flips, wrong to right",
    "neg_neg": "flips, wrong to wrong",
    "changed_answer": "another answer",
    "consistent": "count drops by one",
}


@section("flips", 44)
def build(content: Content) -> Section | None:
    """Returns the table of flips."""
    notes = (
        "In % of the edits; right: equal to the answer on which all annotators agree, whatever the scoring rule.",
        "IV-VQA: the answer ought to stay. CV-VQA: the count ought to drop by one.",
        f"The accuracies beside it are scored by {content.rule}.",
    )
    measures = [Measure(label, "flips", name, count=("flips", "edits")) for name, label in _MEASURES.items()]
    table = measure_table(content, "Edited images", notes, measures, "edits")
    return Section("Edited images", "flips", "Edited images", (table,)) if table else None
