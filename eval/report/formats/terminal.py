"""A report's main table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as RichTable
from rich.text import Text
from vqa_gs.eval.arms import Spread
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


def render_terminal(runs: Sequence[RunSummary]) -> RichTable:
    """Returns a table: question types down, in-domain and OOD accuracy of each arm across.

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
    splits = content.splits
    shown = [split for split in (splits.in_domain, splits.ood) if split] or list(splits.names)
    caption = f"Accuracy in %, mean ± standard deviation over seeds; scored by {content.rule}"
    table = RichTable(caption=_printable(caption))
    table.add_column("question type")
    table.add_column("questions", justify="right")
    for arm in content.arms:
        for split in shown:
            heading = Text("\n").join([_printable(arm.name), _printable(splits.label(split))])
            table.add_column(heading, justify="right")
    counted = splits.ood or shown[0]
    total = content.most(counted, lambda metrics: metrics.questions) or 0
    cells = [_cell(arm.overall(split)) for arm in content.arms for split in shown]
    table.add_row(OVERALL, f"{total:,}", *cells, style="bold", end_section=True)

    def questions(kind: str) -> int:
        return content.most(counted, lambda metrics: metrics.counts.per_question_type.get(kind)) or 0

    kinds = sorted({kind for metrics in content.metrics() for kind in metrics.per_question_type})
    counts = {kind: questions(kind) for kind in kinds}
    for kind in sorted(kinds, key=lambda kind: -counts[kind]):
        cells = [_cell(arm.question_type(split, kind)) for arm in content.arms for split in shown]
        table.add_row(_printable(kind), f"{counts[kind]:,}" if counts[kind] else MISSING, *cells)
    return table
