"""A report's scores as CSV: one score of one run a row, unrounded, with the rule it follows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report.quantities import Quantity, quantities
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import RunSummary

COLUMNS = (
    "scoring",
    "arm",
    "run",
    "seed",
    "split",
    "domain",
    "measure",
    "name",
    "score",
    "count",
    "arm_low",
    "arm_high",
)
# Spreadsheets take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell_text(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _measure(one: Quantity) -> str:
    if not one.subset:
        return one.kind
    return f"subset:{one.subset}" if one.kind == "overall" else f"subset:{one.subset}:{one.kind}"


def _rows(content: Content, arm: Arm, run: RunSummary) -> Iterator[list[object]]:
    for split, metrics in run.metrics.items():
        for one in quantities(metrics):
            if one.value is None:
                continue
            low, high = content.interval(arm, split, one.group) or ("", "")
            seed = "" if run.seed is None else run.seed
            first = [cell_text(content.scoring), cell_text(arm.name), cell_text(run.name), seed, cell_text(split)]
            counted = "" if one.count is None else one.count
            measured = [cell_text(_measure(one)), cell_text(one.name), repr(one.value)]
            yield [*first, metrics.side or "", *measured, counted, low, high]


def render_csv(contents: Sequence[Content]) -> str:
    """Returns all scores as CSV.

    ``arm_low`` and ``arm_high`` bound the arm's mean over its seeds, over questions clustered by image; they are
    the same for all runs of an arm, and empty where they are not known.

    Args:
        contents: one for each scoring rule.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for content in contents:
        for arm in content.arms:
            for run in arm.runs:
                writer.writerows(_rows(content, arm, run))
    return text.getvalue()
