"""A report's parts: one for each scoring rule, so that numbers of different rules never stand in one table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from vqa_gs.eval.arms import Arm, group_runs
from vqa_gs.eval.breakdown import ordered_breakdowns
from vqa_gs.eval.report.section import SECTIONS, Builder
from vqa_gs.eval.report.summary import Summary, summarize
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content, Options
from vqa_gs.eval.report_content.examples import ExampleCollector
from vqa_gs.eval.report_content.records import gather
from vqa_gs.eval.report_content.verdicts import Splits
from vqa_gs.eval.runs import RunSummary

from vqa_gs.common.phases import phase


class Part(msgspec.Struct, frozen=True):
    """All there is to say of the runs scored by one rule."""

    scoring: str
    rule: str
    arms: tuple[Arm, ...]
    splits: Splits
    summary: Summary
    sections: tuple[Section, ...]

    def section(self, anchor: str) -> Section | None:
        """Returns the section of a name, None if it does not apply to these runs."""
        return next((section for section in self.sections if section.anchor == anchor), None)


def read_content(scoring: str, runs: Sequence[RunSummary], options: Options) -> Content:
    """Reads what stands behind the scores of some runs, and keeps it with them."""
    collector = ExampleCollector(group_runs(runs), options.examples, options.image_dir)
    records = gather(runs, scoring, options.data_dir, collector)
    return Content(scoring, runs, options, records, collector)


def build_sections(content: Content) -> tuple[Section, ...]:
    """Returns the sections that apply, those of breakdowns and the others, in their order."""
    places: list[tuple[int, Builder]] = [(kind.order, kind.section) for kind in ordered_breakdowns()]
    places += [SECTIONS[name] for name in SECTIONS]
    built = []
    with phase("building the sections", len(places), "sections") as far:
        for _, build in sorted(places, key=lambda place: place[0]):
            built.append(build(content))
            far(1)
    return tuple(found for found in built if found is not None)


def build_part(content: Content) -> Part:
    """Builds the part of one rule."""
    return Part(
        content.scoring,
        content.rule,
        tuple(content.arms),
        content.splits,
        summarize(content),
        build_sections(content),
    )
