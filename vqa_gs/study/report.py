"""The report of a study: `study.html`, its twins to read, compute with and print, figures, a report of each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from vqa_gs import __version__
from vqa_gs.common.files import write_json, write_text
from vqa_gs.eval.report.controls import controls_sentence
from vqa_gs.eval.report.formats.html import render_html
from vqa_gs.eval.report.formats.markdown import escape_markdown, render_markdown
from vqa_gs.eval.report.limits import limits_sentence
from vqa_gs.eval.report.part import Part, read_content
from vqa_gs.eval.report.sections import examples
from vqa_gs.eval.report.summary import Summary
from vqa_gs.eval.report.svg_file import svg_file
from vqa_gs.eval.report_content.blocks import Block, Figures, Section
from vqa_gs.eval.report_content.content import Content, Options
from vqa_gs.eval.report_content.marks import ARM_COLOURS
from vqa_gs.eval.report_content.verdicts import cautions, points
from vqa_gs.study.arm_reports import arm_report, link_to, write_arm_reports
from vqa_gs.study.arms import slug
from vqa_gs.study.checks import refuse_linked
from vqa_gs.study.figures import StudyFigure, figures_of
from vqa_gs.study.final import told
from vqa_gs.study.headline import best_of, control_of, study_headline, study_tiles
from vqa_gs.study.paper import render_study_csv, render_study_latex
from vqa_gs.study.plan import StudyPlan
from vqa_gs.study.summary import SELECTION, Dataset, Outcome, outcome_of
from vqa_gs.study.tables import first_looks, runs_table, tables_of

_ERROR_BARS = (
    "Lines through marks and bars: 95 % interval of the mean over questions, and over seeds and worlds, of which there"
    " are three at least; dots: runs. A line that ends at the frame goes on. Broken lines in curves: arms that are not"
    " swept; in the plane: the control."
)
_EXAMPLES = 60
# Differences that a sentence lists.
_TOLD = 8


def write_study_report(plan: StudyPlan, image_dir: Path | None = None) -> list[Path]:
    """Writes the report of the runs that are done.

    Args:
        plan: the study.
        image_dir: where the images of the examples lie.

    Returns:
        The files written: the page, its twins, the figures.

    Raises:
        DataError: no run is done, or one is damaged.
    """
    refuse_linked(plan.out, plan.runs)
    outcome = outcome_of(plan)
    options = Options(image_dir=image_dir, examples=_EXAMPLES)
    write_arm_reports(plan, options)
    part, figures = _part(outcome, options)
    title = plan.spec.title or plan.spec.file.stem
    day = datetime.now(timezone.utc).date().isoformat()
    written = f"{_progress(outcome)}; vqa-gs {__version__}, {day}; from {plan.spec.file}"
    out = plan.out
    texts = {
        out / "study.csv": render_study_csv(outcome.datasets),
        out / "study.tex": render_study_latex(outcome.datasets),
        **{out / "figures" / one.name: svg_file(one.panels, one.series, one.sides) for one in figures},
        out / "study.md": render_markdown(title, written, [part]) + _pictures(figures),
    }
    for file, text in texts.items():
        write_text(file, text)
    write_json(out / "study.json", outcome.to_json())
    # Last, as it leads to all others.
    beside = [(name, f"study.{suffix}") for name, suffix in _BESIDE]
    write_text(out / "study.html", render_html(title, written, [part], beside))
    return [out / "study.html", out / "study.md", out / "study.json", *list(texts)[:-1]]


_BESIDE = (("CSV", "csv"), ("LaTeX", "tex"), ("Markdown", "md"), ("JSON", "json"))


def _part(outcome: Outcome, options: Options) -> tuple[Part, list[StudyFigure]]:
    sections: list[Section] = []
    remarks: list[str] = []
    minds: list[str] = []
    absent: list[str] = []
    several = sum(len(data.contents) for data in outcome.datasets) > 1
    contents = []
    figures: list[StudyFigure] = []
    for data in outcome.datasets:
        links = _links(outcome.plan, data)
        for worlds in data.rules:
            content = worlds[0][1]
            contents.append((data, content))
            name = _name(data, content) if several else ""
            drawn = figures_of(data, content, outcome.plan.spec.drawn)
            figures += drawn
            sections += _sections(data, content, drawn, name, links)
            sections += _examples(outcome, data, content, name, options)
            before = f"{name}: " if name else ""
            if len(contents) > 1:
                head = study_headline(data, content)
                remarks.append(before + " ".join(filter(None, (head.text, head.certainty))))
            remarks += [before + text for text in _findings(data, content)]
            for world, own in worlds:
                where = before if world is None else f"{before}World {world}: "
                told_of = (limits_sentence(own), controls_sentence(own))
                remarks += [where + text for text in filter(None, told_of)]
                minds += [where + text for text in cautions(own.arms, own.splits)]
                absent += [where + text for text in own.records.reasons]
    for title, reasons in outcome.suites.items():
        absent += [f"Left out of {title}: {reason}." for reason in reasons]
    remarks += [f"{text}." for text in (told(outcome.plan.opening) if outcome.plan.opening else ())]
    remarks.append(SELECTION)
    (data, first), *_ = contents
    headline = study_headline(data, first)
    if several:
        headline = msgspec.structs.replace(headline, text=f"{_name(data, first)}: {headline.text}")
    summary = Summary(
        headline,
        tuple(outcome.warnings),
        tuple(study_tiles(data, first)),
        tuple(remarks),
        tuple(dict.fromkeys(minds)),
        tuple(dict.fromkeys(absent)),
    )
    rules = ", ".join(dict.fromkeys(content.rule for _, content in contents))
    return Part(first.scoring, rules, tuple(first.arms), first.splits, summary, tuple(sections)), figures


def _name(data: Dataset, content: Content) -> str:
    rule = f"({content.scoring})" if len(data.contents) > 1 or not data.name else ""
    return " ".join(filter(None, (data.name, rule)))


def _progress(outcome: Outcome) -> str:
    """Returns how far the study is."""
    spec = outcome.plan.spec
    parts = [_count(len(outcome.plan.arms), "arm"), _count(len(spec.every_seed), "seed")]
    if spec.worlds:
        parts.append(_count(len(spec.worlds), "world"))
    if len(spec.datasets) > 1:
        parts.append(_count(len(spec.datasets), "dataset"))
    done = sum(len(arm.done) for data in outcome.datasets for arm in data.arms)
    failed = sum(len(arm.failed) for data in outcome.datasets for arm in data.arms)
    lost = f", {failed} failed" if failed else ""
    return f"{', '.join(parts)}: {done} of {_count(len(outcome.plan.runs), 'run')} done{lost}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _links(plan: StudyPlan, data: Dataset) -> dict[tuple[str, int | str], str]:
    """Returns the addresses of the arms' reports by arm and run."""
    return {
        (run.arm.name, run.label): link_to(arm_report(run), plan.out)
        for run in plan.runs
        if run.dataset == data.name and run.status == "done"
    }


def _sections(
    data: Dataset,
    content: Content,
    figures: Sequence[StudyFigure],
    name: str,
    links: Mapping[tuple[str, int | str], str],
) -> list[Section]:
    prefix = slug(f"{data.name}-{content.scoring}")
    sections: list[Section] = []

    def add(heading: str, blocks: list[Block]) -> None:
        full = f"{heading}: {name}" if name else heading
        sections.append(Section(full, f"{prefix}-{slug(heading)}", full, tuple(blocks)))

    def drawn(about: str) -> list[Block]:
        return [
            Figures(one.panels, "sides" if one.sides else "arms", (f"{one.title}. {_ERROR_BARS}",), series=one.series)
            for one in figures
            if one.about == about
        ]

    if figures:
        add("In-domain and OOD", drawn(""))
    # An arm's name leads to the report of its first world.
    first: dict[str, str] = {}
    for (arm, _), link in links.items():
        first.setdefault(arm, link)
    for table in tables_of(data, content, first):
        add(table.name, [table, *drawn(table.name)])
    if runs := runs_table(data, content, links):
        add(runs.name, [runs])
    return sections


def _examples(outcome: Outcome, data: Dataset, content: Content, name: str, options: Options) -> list[Section]:
    """Returns the section of examples of a few arms' first runs: those of figures, else control, best and the next."""
    wanted = [*outcome.plan.spec.drawn, *filter(None, (control_of(data), best_of(data, content)))]
    wanted += [arm.name for arm in data.arms]
    first = {run.arm: run for run in reversed(content.runs)}
    chosen = [first[arm] for arm in dict.fromkeys(wanted) if arm in first][:ARM_COLOURS]
    splits = [split for split in (content.splits.in_domain, content.splits.ood) if split]
    shown = [
        msgspec.structs.replace(run, name=run.arm, metrics={at: run.metrics[at] for at in splits if at in run.metrics})
        for run in chosen
    ]
    found = examples.build(read_content(content.scoring, shown, replace(options, examples=_EXAMPLES)))
    if found is None:
        return []
    heading = f"{found.name}: {name}" if name else found.name
    anchor = f"{slug(f'{data.name}-{content.scoring}')}-examples"
    return [msgspec.structs.replace(found, name=heading, link=heading, anchor=anchor)]


def _findings(data: Dataset, content: Content) -> list[str]:
    """Returns a sentence a split on how arms differ from what they are tested against, as far as that is decided."""
    found = []
    for one in first_looks(data, content, "overall"):
        differences = [(arm, found) for arm, score in one.arms.items() for found in score.differences]
        if not differences:
            continue
        decided = [
            f"“{arm}” {points(difference.mean, 1)} against “{difference.against}” (p {difference.p_holm:.2g})"
            for arm, difference in sorted(differences, key=lambda item: -abs(item[1].mean))
            if difference.decided
        ]
        tests = max(difference.comparisons for _, difference in differences)
        split = content.splits.label(one.split)
        if not tests:
            found.append(f"{split}: no two arms have three seeds, so no difference is tested.")
            continue
        text = f"{split}, points under {one.scoring}, p after Holm over {_count(tests, 'test')}: "
        text += "; ".join(decided[:_TOLD]) if decided else "no arm differs from what it is tested against"
        if len(decided) > _TOLD:
            text += f"; and {len(decided) - _TOLD} more, see the table of differences"
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
