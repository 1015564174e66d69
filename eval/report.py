"""Reports: one HTML page or Markdown file for a supervisor, one table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from rich.table import Table as RichTable
from rich.text import Text

from eval.report_content import build_section, build_sections, by_scoring, percent_cell, scoring_rule
from eval.report_html import render_html
from eval.report_markdown import render_markdown
from eval.report_provenance import MISSING
from eval.runs import RunSummary
from vqa_gs import __version__
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import write_text

_HTML = {".html", ".htm"}
_MARKDOWN = {".md", ".markdown"}
OVERALL = "all questions"


def _check(runs: Sequence[RunSummary]) -> None:
    if not runs:
        raise UsageError("a report needs at least one run")
    seen: set[Path] = set()
    for run in runs:
        folder = run.folder.resolve()
        if folder in seen:
            raise UsageError(f"the run {run.folder} is given twice", mend="name each run once")
        seen.add(folder)


def write_report(
    runs: Sequence[RunSummary],
    out: Path,
    *,
    markdown: bool = False,
    title: str = "Accuracy in and out of domain",
) -> list[Path]:
    """Writes a report of some runs.

    Runs that differ only by the seed are reported together as an arm. Scores that follow different rules are
    kept in separate parts of the report, each with its own tables.

    Args:
        runs: what to report, from `eval.runs.load_run`.
        out: the file to write; its suffix tells the form, ``.html`` or ``.md``.
        markdown: whether to write a Markdown twin beside an HTML page.
        title: the report's title.

    Returns:
        The files written.

    Raises:
        UsageError: there is no run, one is given twice, or the suffix is neither of the two.
        DataError: a file cannot be written.
    """
    _check(runs)
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in _HTML | _MARKDOWN:
        raise UsageError(f"cannot tell the report's form from the name {out.name!r}", mend="end it in .html or .md")
    sections = build_sections(runs)
    day = datetime.now(timezone.utc).date().isoformat()
    arms = len({arm.name for section in sections for arm in section.arms})
    written = f"{len(runs)} run{'s' * (len(runs) > 1)}, {arms} arm{'s' * (arms > 1)}; vqa-gs {__version__}, {day}"
    files = []
    if suffix in _HTML:
        write_text(out, render_html(title, written, sections))
        files.append(out)
    if markdown or suffix in _MARKDOWN:
        twin = out if suffix in _MARKDOWN else out.with_suffix(".md")
        write_text(twin, render_markdown(title, written, sections))
        files.append(twin)
    return files


def _printable(text: str) -> Text:
    """Returns text that a terminal prints as it stands: no markup, no control characters."""
    return Text("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text))


def summary_table(runs: Sequence[RunSummary]) -> RichTable:
    """Returns a table for the terminal: question types down, in-domain and OOD accuracy of each arm across.

    Raises:
        UsageError: there is no run, one is given twice, or their scores follow different rules.
    """
    _check(runs)
    parted = by_scoring(runs)
    if len(parted) > 1:
        raise UsageError(
            f"the runs were scored by different rules ({', '.join(parted)}) and do not belong in one table",
            mend="score them by the same rule, or write a report, which keeps them apart",
        )
    ((scoring, members),) = parted.items()
    section = build_section(scoring, members)
    splits = section.splits
    shown = [split for split in (splits.in_domain, splits.ood) if split] or list(splits.names)
    table = RichTable(
        caption=_printable(f"Accuracy in %, mean ± standard deviation over seeds; scored by {scoring_rule(scoring)}")
    )
    table.add_column("question type")
    table.add_column("questions", justify="right")
    for arm in section.arms:
        for split in shown:
            heading = Text("\n").join([_printable(arm.name), _printable(splits.label(split))])
            table.add_column(heading, justify="right")

    def cell(mean: float | None, std: float | None) -> str:
        if mean is None:
            return MISSING
        return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"

    counted = splits.ood or shown[0]
    total = max((run.metrics[counted].questions for run in members if counted in run.metrics), default=0)
    overall = [arm.overall(split) for arm in section.arms for split in shown]
    cells = [cell(spread.mean, spread.std) if spread else MISSING for spread in overall]
    table.add_row(OVERALL, f"{total:,}", *cells, style="bold", end_section=True)
    if section.question_types is not None:
        names = list(splits.names)
        count_at = 1 + names.index(counted)
        first = 1 + len(names)
        for row in section.question_types.rows:
            picked = []
            for arm_index in range(len(section.arms)):
                for split in shown:
                    picked.append(percent_cell(row[first + arm_index * len(names) + names.index(split)]))
            table.add_row(_printable(row[0].text), row[count_at].text, *picked)
    return table
