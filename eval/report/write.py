"""Writing reports: the HTML page or the Markdown file, and their twins for papers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from rich.table import Table as RichTable
from vqa_gs.eval.report.card import build_card
from vqa_gs.eval.report.formats import card as card_form
from vqa_gs.eval.report.formats.csv_table import render_csv
from vqa_gs.eval.report.formats.html import render_html
from vqa_gs.eval.report.formats.latex import render_latex
from vqa_gs.eval.report.formats.markdown import render_markdown
from vqa_gs.eval.report.formats.terminal import render_terminal
from vqa_gs.eval.report.part import build_part, read_content
from vqa_gs.eval.report.published_results import load_published
from vqa_gs.eval.report_content.content import Options, by_scoring
from vqa_gs.eval.runs import RunSummary

from vqa_gs import __version__
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import write_text

_HTML = {".html", ".htm"}
_MARKDOWN = {".md", ".markdown"}


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
    csv: bool = False,
    latex: bool = False,
    title: str = "Accuracy in and out of domain",
    options: Options | None = None,
) -> list[Path]:
    """Writes a report of some runs.

    Runs that differ only by the seed are reported together as an arm. Scores that follow different rules are
    kept in separate parts of the report, each with its own tables.

    Args:
        runs: what to report, from `vqa_gs.eval.runs.load_run`.
        out: the file to write; its suffix tells the form, ``.html`` or ``.md``.
        markdown: whether to write a Markdown twin beside an HTML page.
        csv: whether to write all scores, unrounded, beside it as CSV.
        latex: whether to write the main table beside it as LaTeX.
        title: the report's title.
        options: where data and images lie, how many examples to show, published results.

    Returns:
        The files written.

    Raises:
        UsageError: there is no run, one is given twice, an option makes no sense, or the suffix is neither of
            the two.
        DataError: predictions or grounding of a run are damaged, or a file cannot be written.
    """
    _check(runs)
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in _HTML | _MARKDOWN:
        raise UsageError(f"cannot tell the report's form from the name {out.name!r}", mend="end it in .html or .md")
    chosen = options or Options()
    if chosen.examples < 0:
        raise UsageError(f"{chosen.examples} examples cannot be shown", mend="give 0 for none")
    if chosen.published is not None:
        load_published(chosen.published)
    contents = [read_content(scoring, members, chosen) for scoring, members in by_scoring(runs).items()]
    parts = [build_part(content) for content in contents]
    day = datetime.now(timezone.utc).date().isoformat()
    arms = len({arm.name for part in parts for arm in part.arms})
    written = f"{len(runs)} run{'s' * (len(runs) > 1)}, {arms} arm{'s' * (arms > 1)}; vqa-gs {__version__}, {day}"
    files: list[tuple[Path, str]] = []
    if suffix in _HTML:
        files.append((out, render_html(title, written, parts)))
    if markdown or suffix in _MARKDOWN:
        twin = out if suffix in _MARKDOWN else out.with_suffix(".md")
        files.append((twin, render_markdown(title, written, parts)))
    if csv:
        files.append((out.with_suffix(".csv"), render_csv(contents)))
    if latex:
        files.append((out.with_suffix(".tex"), render_latex(contents)))
    for path, text in files:
        write_text(path, text)
    return [path for path, _ in files]


def write_card(
    runs: Sequence[RunSummary],
    out: Path,
    *,
    markdown: bool = False,
    csv: bool = False,
    latex: bool = False,
    title: str = "Model card",
    options: Options | None = None,
) -> list[Path]:
    """Writes a model's card, see `vqa_gs.eval.report.card`; for arguments, outcome and errors see `write_report`."""
    _check(runs)
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in _HTML | _MARKDOWN:
        raise UsageError(f"cannot tell the card's form from the name {out.name!r}", mend="end it in .html or .md")
    card = build_card(runs, options)
    suites = f"; {', '.join(card.suites)}" if card.suites else ""
    day = datetime.now(timezone.utc).date().isoformat()
    written = f"{len(runs)} run{'s' * (len(runs) > 1)}{suites}; vqa-gs {__version__}, {day}"
    files: list[tuple[Path, str]] = []
    if suffix in _HTML:
        files.append((out, card_form.render_html(title, written, card)))
    if markdown or suffix in _MARKDOWN:
        twin = out if suffix in _MARKDOWN else out.with_suffix(".md")
        files.append((twin, card_form.render_markdown(title, written, card)))
    if csv:
        files.append((out.with_suffix(".csv"), card_form.render_csv(card)))
    if latex:
        files.append((out.with_suffix(".tex"), card_form.render_latex(card)))
    for path, text in files:
        write_text(path, text)
    return [path for path, _ in files]


def summary_table(runs: Sequence[RunSummary], width: int | None = None) -> RichTable:
    """Returns a table for the terminal: question types down, in-domain and OOD accuracy of each arm across.

    Args:
        runs: what to set side by side.
        width: columns of the terminal; where the arms do not fit across it, they go down. None: they do fit.

    Raises:
        UsageError: there is no run, one is given twice, or their scores follow different rules.
    """
    _check(runs)
    return render_terminal(runs, width)
