"""What a supervisor reads in ten seconds: the sentence, four numbers, what to mind."""

from __future__ import annotations

import msgspec
from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.model_selection import selection_warnings
from vqa_gs.eval.report.controls import controls_clause, controls_sentence
from vqa_gs.eval.report.limits import limits_sentence
from vqa_gs.eval.report_content.blocks import interval_text
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.resampling import OVERALL, Group, answer_type
from vqa_gs.eval.report_content.verdicts import Headline, cautions, headline, other_sentence
from vqa_gs.eval.statistics import Interval


class Tile(msgspec.Struct, frozen=True):
    """One number of the summary."""

    label: str
    value: str
    spread: str = ""
    interval: str = ""
    side: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """The top of a report.

    Attributes:
        headline: the claim.
        warnings: what makes the numbers no test at all, above everything else.
        tiles: numbers of the best arm.
        remarks: further sentences.
        cautions: what a reader must know before trusting the numbers.
        absent: why something is not shown.
    """

    headline: Headline
    warnings: tuple[str, ...]
    tiles: tuple[Tile, ...]
    remarks: tuple[str, ...]
    cautions: tuple[str, ...]
    absent: tuple[str, ...]


def tiles(content: Content, best: Arm | None) -> list[Tile]:
    """Returns the numbers of the best arm, or of the only one."""
    arm = best or (content.arms[0] if len(content.arms) == 1 else None)
    if arm is None:
        return []
    inside, outside = content.splits.in_domain, content.splits.ood
    found: list[Tile] = []

    def add(label: str, spread: Spread | None, side: str | None, interval: Interval | None) -> None:
        if spread is not None:
            std = "" if spread.std is None else f"± {spread.std:.1f}"
            found.append(Tile(label, f"{spread.mean:.1f}".replace("-", "−"), std, interval_text(interval), side))

    def on(split: str, group: Group) -> Interval | None:
        return content.interval(arm, split, group)

    if outside:
        add("OOD", arm.overall(outside), "ood", on(outside, OVERALL))
    if inside:
        add("in-domain", arm.overall(inside), "in", on(inside, OVERALL))
    if inside and outside:
        add("gap, points", arm.gap(inside, outside), None, None)
    if outside:
        add("OOD, “other” only", arm.answer_type(outside, "other"), None, on(outside, answer_type("other")))
    return found


def summarize(content: Content) -> Summary:
    """Returns the top of the report."""
    ood = content.splits.ood
    head = headline(content.arms, content.splits, lambda one, other: content.difference(one, other, ood, OVERALL))
    clause = controls_clause(content, head.best)
    if clause:
        head = msgspec.structs.replace(head, certainty=f"{head.certainty} {clause}".lstrip())
    remark = other_sentence(
        content.arms,
        content.splits,
        head.best,
        lambda one, other: content.difference(one, other, ood, answer_type("other")),
    )
    return Summary(
        head,
        tuple(selection_warnings(content.runs)),
        tuple(tiles(content, head.best)),
        tuple(filter(None, (limits_sentence(content), controls_sentence(content), remark))),
        tuple(cautions(content.arms, content.splits)),
        tuple(dict.fromkeys(content.records.reasons)),
    )
