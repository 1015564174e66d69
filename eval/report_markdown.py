"""A report as Markdown: the same sections as the HTML page, without the charts."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from eval.report_content import Section, Table, percent_cell
from eval.report_provenance import RunCard

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~])")


def escape_markdown(text: str) -> str:
    """Returns text that Markdown renders as it stands, on one line, free of markup."""
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", html.escape(line, quote=False))


def fenced(text: str, language: str = "") -> str:
    """Returns a code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _table(table: Table) -> list[str]:
    heads = []
    for column in table.columns:
        head = f"{column.group}: {column.label}" if column.group else column.label
        heads.append(escape_markdown(head))
    lines = [
        f"| {' | '.join(heads)} |",
        f"|{'|'.join('---:' if column.numeric else '---' for column in table.columns)}|",
    ]
    for row in table.rows:
        cells = []
        for cell in row:
            text = escape_markdown(percent_cell(cell))
            cells.append(f"**{text}**" if cell.strong else text)
        lines.append(f"| {' | '.join(cells)} |")
    return [*(escape_markdown(note) + "  " for note in table.notes), "", *lines, ""]


def _card(card: RunCard, level: str) -> list[str]:
    lines = [f"{level} {escape_markdown(card.title)}", "", "To repeat:", "", fenced(card.command, "sh"), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {escape_markdown(key)} | {escape_markdown(value)} |" for key, value in card.facts]
    if card.config:
        lines += ["", "Configuration:", "", fenced(card.config, "yaml")]
    return [*lines, ""]


def render_markdown(title: str, written: str, sections: Sequence[Section]) -> str:
    """Returns the report as Markdown.

    Args:
        title: the report's title.
        written: by what and when it was written.
        sections: one for each scoring rule.
    """
    lines = [f"# {escape_markdown(title)}", "", escape_markdown(written), ""]
    if len(sections) > 1:
        lines += [
            "**These scores follow different rules. Each rule has its own part; numbers of different parts "
            "must not be compared.**",
            "",
        ]
    for section in sections:
        level = "##"
        if len(sections) > 1:
            lines += [f"## Scored by: {escape_markdown(section.rule)}", ""]
            level = "###"
        lines += [f"{level} Summary", "", f"**{escape_markdown(section.headline.text)}**", ""]
        lines += [f"{escape_markdown(remark)}\n" for remark in section.remarks]
        if section.cautions:
            lines += ["Mind:", "", *(f"- {escape_markdown(caution)}" for caution in section.cautions), ""]
        lines += _table(section.summary)
        tables = (section.accuracy, section.question_types, section.pairs, section.subsets, section.runs)
        for table in tables:
            if table is not None:
                lines += [f"{level} {escape_markdown(table.name)}", "", *_table(table)]
        lines += [f"{level} How each run was made", ""]
        for card in section.cards:
            lines += _card(card, level + "#")
    return "\n".join(lines).rstrip() + "\n"
