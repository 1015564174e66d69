"""Whether a model looks where it ought to, and whether its gradient points to the counterfactual partner."""

from __future__ import annotations

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.breakdowns import Measure, measure_table
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.report.sections import section

_REGIONS = {
    "attention": "attention on the relevant regions, %",
    "gradient": "gradient on the relevant regions, %",
    "chance": "share of regions that are relevant, %",
    "attention_pointing": "strongest attention on a relevant region, %",
    "gradient_pointing": "strongest gradient on a relevant region, %",
}


@section("grounding", 68)
def build(content: Content) -> Section | None:
    """Returns the table."""
    where = ("grounding", "regions", "all")
    measures = [Measure(label, *where, name, count=(*where, "questions")) for name, label in _REGIONS.items()]
    for outcome in ("right", "wrong"):
        path = ("grounding", "regions", outcome)
        label = f"attention on them, {outcome} answers, %"
        measures.append(Measure(label, *path, "attention", count=(*path, "questions")))
    pairs = ("grounding", "pairs")
    measures += [
        Measure("gradient with the pair's direction, cosine", *pairs, "cosine", count=(*pairs, "ends")),
        Measure("gradient towards the partner, % of pair ends", *pairs, "positive", count=(*pairs, "ends")),
    ]
    notes = (
        f"Right and wrong as scored by {content.rule}.",
        "Shares are of a question's sum over its regions, averaged over questions; more than the share of relevant "
        "regions is more than chance. The cosine is what gradient supervision raises.",
    )
    table = measure_table(content, "Where it looks", notes, measures, "questions or pair ends")
    return Section("Where it looks", "grounding", "Grounding", (table,)) if table else None
