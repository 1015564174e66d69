"""A report as Markdown: the same sections as the HTML page, without the charts and the examples."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from vqa_gs.eval.report.part import Part
from vqa_gs.eval.report_content.blocks import Cards, RunCard, Table, plain

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


def table_lines(table: Table) -> list[str]:
    """Returns a table with its warnings and notes, as lines."""
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
            text = escape_markdown(plain(cell))
            text = f"[{text}]({cell.link})" if cell.link else text
            cells.append(f"**{text}**" if cell.strong else text)
        lines.append(f"| {' | '.join(cells)} |")
    warned = [f"**{escape_markdown(warning)}**  " for warning in table.warnings]
    return [*warned, *(escape_markdown(note) + "  " for note in table.notes), "", *lines, ""]


def _card(card: RunCard, level: str) -> list[str]:
    lines = [f"{level} {escape_markdown(card.title)}", "", "To repeat:", "", fenced(card.command, "sh"), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {escape_markdown(key)} | {escape_markdown(value)} |" for key, value in card.facts]
    if card.config:
        lines += ["", "Configuration:", "", fenced(card.config, "yaml")]
    return [*lines, ""]


def render_markdown(title: str, written: str, parts: Sequence[Part]) -> str:
    """Returns the report as Markdown.

    Args:
        title: the report's title.
        written: by what and when it was written.
        parts: one for each scoring rule.
    """
    lines = [f"# {escape_markdown(title)}", "", escape_markdown(written), ""]
    if len(parts) > 1:
        lines += [
            "**These scores follow different rules. Each rule has its own part; numbers of different parts "
            "must not be compared.**",
            "",
        ]
    for part in parts:
        level = "##"
        if len(parts) > 1:
            lines += [f"## Scored by: {escape_markdown(part.rule)}", ""]
            level = "###"
        lines += [f"{level} Summary", ""]
        lines += [f"**Selected on the test. {escape_markdown(warning)}**\n" for warning in part.summary.warnings]
        lines += [f"**{escape_markdown(part.summary.headline.text)}**", ""]
        lines += [f"{escape_markdown(part.summary.headline.certainty)}\n"] * bool(part.summary.headline.certainty)
        lines += [f"{escape_markdown(remark)}\n" for remark in part.summary.remarks]
        mind = [*part.summary.cautions, *part.summary.absent]
        if mind:
            lines += ["Mind:", "", *(f"- {escape_markdown(caution)}" for caution in mind), ""]
        for section in part.sections:
            written_blocks: list[str] = []
            for block in section.blocks:
                if isinstance(block, Table):
                    written_blocks += table_lines(block)
                elif isinstance(block, Cards):
                    for card in block.cards:
                        written_blocks += _card(card, level + "#")
            if written_blocks:
                lines += [f"{level} {escape_markdown(section.name)}", "", *written_blocks]
    return "\n".join(lines).rstrip() + "\n"
