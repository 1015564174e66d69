"""Examples to look through: question, image, the annotators' answers, what each run said."""

from __future__ import annotations

from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Browser, Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.examples import RIGHT


@section("examples", 80)
def build(content: Content) -> Section | None:
    """Returns the browser of examples."""
    collector = content.examples
    payload = collector.payload(content.splits.ood) if collector else None
    if collector is None or payload is None:
        return None
    notes = [
        f"A sample: {', '.join(collector.notes)}; spread over outcomes, over who was right and over question types, "
        "so its shares are not those of the split. "
        f"Right: a score of at least {100 * RIGHT:.0f} % under {content.rule}."
    ]
    if collector.without_image:
        notes.append(f"The images of {collector.without_image} examples were not found or found no room.")
    return Section("Examples", "examples", "Examples", (Browser(payload, tuple(notes)),))
