"""A report's main table for the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text
from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report_content.blocks import MISSING
from vqa_gs.eval.report_content.content import Content, by_scoring
from vqa_gs.eval.runs import RunSummary

from vqa_gs.common.errors import UsageError

OVERALL = "all questions"


def _printable(text: str) -> Text:
    """Returns text that a terminal prints as it stands: no markup, no control characters."""
    return Text("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text))


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    return f"{spread.mean:.2f}" if spread.std is None else f"{spread.mean:.2f} ± {spread.std:.2f}"


def render_terminal(runs: Sequence[RunSummary], width: int | None = None) -> RichTable:
    """Returns a table: question types down, in-domain and OOD accuracy of each arm across.

    Args:
        runs: what to set side by side.
        width: columns of the terminal; where the arms do not fit across it, they go down. None: they do fit.

    Raises:
        UsageError: the scores of the runs follow different rules.
    """
    parted = by_scoring(runs)
    if len(parted) > 1:
        raise UsageError(
            f"the runs were scored by different rules ({', '.join(parted)}) and do not belong in one table",
            mend="score them by the same rule, or write a report, which keeps them apart",
        )
    ((scoring, members),) = parted.items()
    content = Content(scoring, members)
    wide = _table(content, across=True)
    if width is None or _width(wide) <= width:
        return wide
    return _table(content, across=False)


def _width(table: RichTable) -> int:
    """Returns how many columns a table takes where nothing in it is wrapped; its caption may be."""
    console = Console(width=10_000, file=io.StringIO())
    return Measurement.get(console, console.options, table).maximum


def _table(content: Content, across: bool) -> RichTable:
    """Returns the table, arms across, or down within each question type."""
    splits = content.splits
    shown = [split for split in (splits.in_domain, splits.ood) if split] or list(splits.names)
    caption = f"Accuracy in %, mean ± standard deviation over seeds; scored by {content.rule}"
    table = RichTable(caption=_printable(caption))
    table.add_column("question type", overflow="fold")
    table.add_column("questions", justify="right")
    if not across:
        table.add_column("arm", overflow="fold")
    for arm in content.arms if across else [None]:
        for split in shown:
            label = _printable(splits.label(split))
            heading = label if arm is None else Text("\n").join([_printable(arm.name), label])
            table.add_column(heading, justify="right")
    counted = splits.ood or shown[0]

    def questions(kind: str) -> int:
        return content.most(counted, lambda metrics: metrics.counts.per_question_type.get(kind)) or 0

    def add(name: Text | str, count: int, pick: Callable[[Arm, str], Spread | None], **style: Any) -> None:
        told = f"{count:,}" if count else MISSING
        if across:
            cells = [_cell(pick(arm, split)) for arm in content.arms for split in shown]
            table.add_row(name, told, *cells, **style)
            return
        for at, arm in enumerate(content.arms):
            first = (name, told) if at == 0 else ("", "")
            last = at == len(content.arms) - 1
            cells = [_cell(pick(arm, split)) for split in shown]
            table.add_row(*first, _printable(arm.name), *cells, **style | {"end_section": last})

    total = content.most(counted, lambda metrics: metrics.questions) or 0
    add(OVERALL, total, lambda arm, split: arm.overall(split), style="bold", end_section=True)
    kinds = sorted({kind for metrics in content.metrics() for kind in metrics.per_question_type})
    counts = {kind: questions(kind) for kind in kinds}
    for kind in sorted(kinds, key=lambda kind: -counts[kind]):
        add(_printable(kind), counts[kind], partial(_of_type, kind))
    return table


def _of_type(kind: str, arm: Arm, split: str) -> Spread | None:
    return arm.question_type(split, kind)
