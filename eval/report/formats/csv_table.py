"""A report's scores as CSV: one score of one run a row, unrounded, with the rule it follows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.report.resampling import OVERALL, Group, answer_type, question_type
from vqa_gs.eval.runs import PairAccuracy, RunSummary, SplitMetrics

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
Score = tuple[str, str, float | None, int | None, Group | None]
# Spreadsheets take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _pairs(prefix: str, pairs: dict[str, PairAccuracy]) -> Iterator[Score]:
    for kind, pair in pairs.items():
        yield f"{prefix}pair_accuracy", kind, pair.accuracy, pair.pairs, None


def scores_of(metrics: SplitMetrics) -> Iterator[Score]:
    """Yields a metrics file's scores: what is measured, of what, percent, how many, and the group of questions."""
    yield "overall", "", metrics.overall, metrics.questions, OVERALL
    for kind, value in metrics.per_answer_type.items():
        yield "answer_type", kind, value, metrics.counts.per_answer_type.get(kind), answer_type(kind)
    for kind, value in metrics.per_question_type.items():
        yield "question_type", kind, value, metrics.counts.per_question_type.get(kind), question_type(kind)
    yield from _pairs("", metrics.pair_accuracy)
    for name, part in metrics.subsets.items():
        yield f"subset:{name}", "", part.overall, part.questions, None
        for kind, value in part.per_answer_type.items():
            yield f"subset:{name}:answer_type", kind, value, None, None
        yield from _pairs(f"subset:{name}:", part.pair_accuracy)


def _rows(content: Content, arm: Arm, run: RunSummary) -> Iterator[list[object]]:
    for split, metrics in run.metrics.items():
        for measure, name, value, count, group in scores_of(metrics):
            if value is None:
                continue
            low, high = content.interval(arm, split, group) or ("", "")
            seed = "" if run.seed is None else run.seed
            first = [_text(content.scoring), _text(arm.name), _text(run.name), seed, _text(split)]
            counted = "" if count is None else count
            yield [*first, metrics.side or "", _text(measure), _text(name), repr(value), counted, low, high]


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
