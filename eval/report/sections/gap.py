"""In-domain beside OOD where the in-domain scores stand only in the OOD metrics file."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.breakdowns import Measure, keys, measure_table
from vqa_gs.eval.report.content import Content, ordered_answer_types
from vqa_gs.eval.report.sections import section


@section("gap", 32)
def build(content: Content) -> Section | None:
    """Returns the table; None where the in-domain split has a metrics file, as the other tables then show both."""
    if content.splits.in_domain is not None:
        return None
    groups: list[tuple[str, tuple[str, ...]]] = [("all questions", ("overall",))]
    groups += [
        (kind, ("per_answer_type", kind)) for kind in ordered_answer_types(keys(content, "gap", "per_answer_type"))
    ]
    measures = [
        Measure(f"{name}: {label}", "gap", *path, key)
        for name, path in groups
        for key, label in (("in_domain", "in-domain"), ("ood", "OOD"), ("gap", "gap"))
    ]
    notes = (content.note(), "The in-domain scores are those the evaluation was given; gap: in-domain minus OOD.")
    table = measure_table(content, "In-domain beside OOD", notes, measures)
    return Section("In-domain beside OOD", "gap", "Gap", (table,)) if table else None
