"""The arms beside each other: OOD, in-domain, the gap, and the difference to the baseline."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report.limits import CEILING_NOTE, ceiling, is_limited
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import (
    MISSING,
    Cell,
    Column,
    Section,
    Table,
    count_cell,
    interval_text,
    score_cell,
    text_cell,
)
from vqa_gs.eval.report_content.charts.sparks import line_spark
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.resampling import OVERALL
from vqa_gs.eval.report_content.verdicts import COMPARISON_WORDS, Comparison, compare, points


def against(content: Content, arm: Arm, split: str) -> Cell:
    """Returns by how much an arm differs from the baseline, and what that is worth."""
    baseline = content.baseline
    assert baseline is not None
    own, base = arm.overall(split), baseline.overall(split)
    if arm is baseline or own is None or base is None:
        return Cell(MISSING, sort=0.0)
    interval = content.difference(arm, baseline, split, OVERALL)
    verdict: Comparison = compare(own, base, interval) if content.comparable[split] else "incomparable"
    if verdict == "incomparable":
        return Cell(COMPARISON_WORDS[verdict], sort=0.0)
    difference = own.mean - base.mean
    return Cell(points(difference), COMPARISON_WORDS[verdict], interval_text(interval), difference, verdict == "above")


def progress(content: Content, index: int, arm: Arm) -> Cell:
    """Returns the in-domain accuracy of an arm's first run by epoch, as a spark."""
    curves = next((run.curves for run in arm.runs if run.curves), None)
    names = [content.splits.in_domain, f"{content.splits.in_domain}_accuracy"]
    points_ = next((found for name in names if name and curves and (found := curves.points(name))), [])
    if len(points_) < 2:
        return Cell(MISSING, sort=0.0)
    first, last = points_[0][1], points_[-1][1]
    described = f"from {first:.1f} to {last:.1f} %"
    return Cell(described, sort=last, spark=line_spark(points_, index, described))


@section("arms", 10)
def build(content: Content) -> Section:
    """Returns the table of the arms, the best OOD first."""
    splits, baseline = content.splits, content.baseline
    inside, outside = splits.in_domain, splits.ood
    columns = [Column("arm", numeric=False), Column("runs")]
    shown = [(split, label, side) for split, label, side in ((outside, "OOD", "ood"), (inside, "in-domain", "in"))]
    limited = [split for split, _, _ in shown if split and is_limited(content, split)]
    for split, label, side in shown:
        columns += [Column(label, side=side)] if split else []
        columns += [Column("best possible", side=side)] if split in limited else []
    if inside and outside:
        columns.append(Column("gap"))
    compared = baseline is not None and len(content.arms) > 1
    if baseline and compared:
        against_ = f"against “{baseline.name}”"
        columns += [Column(label, against_, side, numeric=False) for split, label, side in shown if split]
    sparks = [progress(content, index, arm) for index, arm in enumerate(content.arms)]
    if any(spark.spark for spark in sparks):
        columns.append(Column("in-domain by epoch", side="in", numeric=False))
    rows = []
    for arm, spark in zip(content.arms, sparks, strict=True):
        cells = [text_cell(arm.name), count_cell(len(arm.runs))]
        for split in (outside, inside):
            if split:
                cells.append(score_cell(arm.overall(split), content.interval(arm, split, OVERALL)))
            if split in limited:
                reach = ceiling(content, arm, split)
                cells.append(score_cell(Spread((reach.mean,)) if reach else None, digits=1))
        if inside and outside:
            cells.append(score_cell(arm.gap(inside, outside)))
        if compared:
            cells += [against(content, arm, split) for split in (outside, inside) if split]
        if any(one.spark for one in sparks):
            cells.append(spark)
        rows.append(tuple(cells))
    rows.sort(key=lambda row: -(row[2].sort or 0.0) if len(row) > 2 else 0.0)
    notes = [content.note(), content.split_note(), "Gap and differences are taken before rounding."]
    if limited:
        notes.append(CEILING_NOTE)
    if compared:
        notes.append(
            "Below a difference: its interval over questions, and over seeds too from three on. Above or below, from "
            "three seeds on: the seeds' spreads lie apart and that interval, where known, leaves 0 out."
        )
    return Section("Arms", "arms", "Arms", (Table("Arms", tuple(notes), tuple(columns), tuple(rows)),))
