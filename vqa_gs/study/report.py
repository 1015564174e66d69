"""The report of a study: `study.md`, `study.html`, `study.json`, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from vqa_gs import __version__
from vqa_gs.common.files import write_json, write_text
from vqa_gs.eval.report.controls import controls_sentence
from vqa_gs.eval.report.formats.html import render_html
from vqa_gs.eval.report.formats.markdown import escape_markdown, render_markdown
from vqa_gs.eval.report.part import Part
from vqa_gs.eval.report.summary import Summary
from vqa_gs.eval.report.svg_file import svg_file
from vqa_gs.eval.report_content.blocks import Block, Figures, Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.verdicts import Headline, cautions, points
from vqa_gs.study.arms import slug
from vqa_gs.study.figures import StudyFigure, figures_of
from vqa_gs.study.final import told
from vqa_gs.study.plan import StudyPlan
from vqa_gs.study.summary import SELECTION, Dataset, Outcome, outcome_of
from vqa_gs.study.tables import tables_of

_ERROR_BARS = (
    "Error bars: 95 % interval of the mean over seeds, and over questions and worlds where known. Broken lines in"
    " curves: arms that are not swept."
)


def write_study_report(plan: StudyPlan) -> list[Path]:
    """Writes the report of the runs that are done.

    Returns:
        The files written: the page, its Markdown twin, the numbers, the figures.

    Raises:
        DataError: no run is done, or one is damaged.
    """
    outcome = outcome_of(plan)
    part, figures = _part(outcome)
    title = plan.spec.title or plan.spec.file.stem
    done = sum(len(arm.done) for data in outcome.datasets for arm in data.arms)
    day = datetime.now(timezone.utc).date().isoformat()
    written = f"{done} of {len(plan.runs)} runs; vqa-gs {__version__}, {day}; from {plan.spec.file}"
    out = plan.out
    files = [out / "study.html", out / "study.md", out / "study.json"]
    for figure in figures:
        files.append(out / "figures" / figure.name)
        write_text(files[-1], svg_file(figure.panels, figure.series))
    write_text(files[0], render_html(title, written, [part]))
    write_text(files[1], render_markdown(title, written, [part]) + _pictures(figures))
    write_json(files[2], outcome.to_json())
    return files


def _part(outcome: Outcome) -> tuple[Part, list[StudyFigure]]:
    sections: list[Section] = []
    remarks: list[str] = []
    minds: list[str] = []
    absent: list[str] = []
    several = sum(len(data.contents) for data in outcome.datasets) > 1
    contents = []
    figures: list[StudyFigure] = []
    for data in outcome.datasets:
        for worlds in data.rules:
            content = worlds[0][1]
            contents.append(content)
            name = _name(data, content) if several else ""
            drawn = figures_of(data, content, outcome.plan.spec.drawn)
            figures += drawn
            sections += _sections(data, content, drawn, name)
            before = f"{name}: " if name else ""
            remarks += [before + text for text in _findings(data, content)]
            for world, own in worlds:
                where = before if world is None else f"{before}World {world}: "
                remarks += [where + text for text in filter(None, (controls_sentence(own),))]
                minds += [where + text for text in cautions(own.arms, own.splits)]
                absent += [where + text for text in own.records.reasons]
    remarks += [f"{text}." for text in (told(outcome.plan.opening) if outcome.plan.opening else ())]
    headline = Headline(_headline(outcome), "open", None)
    summary = Summary(
        headline, tuple(outcome.warnings), (), tuple(remarks), tuple(dict.fromkeys(minds)), tuple(dict.fromkeys(absent))
    )
    rules = ", ".join(dict.fromkeys(content.rule for content in contents))
    first = contents[0]
    return Part(first.scoring, rules, tuple(first.arms), first.splits, summary, tuple(sections)), figures


def _name(data: Dataset, content: Content) -> str:
    rule = f"({content.scoring})" if len(data.contents) > 1 or not data.name else ""
    return " ".join(filter(None, (data.name, rule)))


def _headline(outcome: Outcome) -> str:
    spec = outcome.plan.spec
    parts = [_count(len(outcome.plan.arms), "arm"), _count(len(spec.every_seed), "seed")]
    if spec.worlds:
        parts.append(_count(len(spec.worlds), "world"))
    if len(spec.datasets) > 1:
        parts.append(_count(len(spec.datasets), "dataset"))
    done = sum(len(arm.done) for data in outcome.datasets for arm in data.arms)
    failed = sum(len(arm.failed) for data in outcome.datasets for arm in data.arms)
    lost = f", {failed} failed" if failed else ""
    return f"{', '.join(parts)}: {done} of {_count(len(outcome.plan.runs), 'run')} done{lost}. {SELECTION}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sections(data: Dataset, content: Content, figures: Sequence[StudyFigure], name: str) -> list[Section]:
    prefix = slug(f"{data.name}-{content.scoring}")
    sections: list[Section] = []
    for table in tables_of(data, content):
        blocks: list[Block] = [table]
        if not sections:
            for figure in figures:
                notes = (f"{figure.title}. {_ERROR_BARS}",)
                blocks.append(Figures(figure.panels, "arms", notes, series=figure.series))
        heading = f"{table.name}: {name}" if name else table.name
        sections.append(Section(heading, f"{prefix}-{slug(table.name)}", heading, tuple(blocks)))
    return sections


def _findings(data: Dataset, content: Content) -> list[str]:
    """Returns a sentence a split on how arms differ from what they are tested against, as far as that is decided."""
    found = []
    for one in (one for one in data.measures if one.scoring == content.scoring and one.kind == "overall"):
        differences = [(arm, found) for arm, score in one.arms.items() for found in score.differences]
        if not differences:
            continue
        decided = [
            f"“{arm}” {points(difference.mean, 1)} against “{difference.against}” (p {difference.p_holm:.2g})"
            for arm, difference in sorted(differences, key=lambda item: -item[1].mean)
            if difference.decided
        ]
        tests = max(difference.comparisons for _, difference in differences)
        split = content.splits.label(one.split)
        if not tests:
            found.append(f"{split}: no two arms have three seeds, so no difference is tested.")
            continue
        text = f"{split}, points under {one.scoring}, p after Holm over {_count(tests, 'test')}: "
        text += "; ".join(decided) if decided else "no arm differs from what it is tested against"
        if decided and len(differences) > len(decided):
            text += f"; {len(differences) - len(decided)} more are undecided"
        found.append(f"{text}.")
    return found


def _pictures(figures: Sequence[StudyFigure]) -> str:
    if not figures:
        return ""
    lines = ["", "## Figures", "", _ERROR_BARS, ""]
    for figure in figures:
        lines += [f"![{escape_markdown(figure.title)}](figures/{figure.name})", ""]
    return "\n".join(lines)
