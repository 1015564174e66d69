"""A metrics file in a few lines of text, the rule beside every number."""

from __future__ import annotations

from vqa_gs.eval.breakdown import ordered_breakdowns, shown
from vqa_gs.eval.runs import Intervals, SplitMetrics
from vqa_gs.eval.statistics import Interval


def _interval(bounds: Interval | None) -> str:
    return "" if bounds is None else f"  [{bounds.low:.2f}, {bounds.high:.2f}]"


def summary_lines(metrics: SplitMetrics) -> list[str]:
    """Returns what `vqa-gs evaluate` prints: accuracies with intervals, what each breakdown says, the notes."""
    rule, intervals = metrics.scoring, metrics.intervals or Intervals()
    level = f", {100 * intervals.level:.0f} % interval over images" if metrics.intervals else ""
    lines = [
        f"{rule} score of {metrics.questions:,} questions{level}: {metrics.overall:.2f} %{_interval(intervals.overall)}"
    ]
    for name, value in metrics.per_answer_type.items():
        lines.append(f"  {name:<24} {shown(value)} % ({rule}){_interval(intervals.per_answer_type.get(name))}")
    for name, part in metrics.subsets.items():
        lines.append(f"  subset {name:<17} {shown(part.overall)} % ({rule}){_interval(intervals.subsets.get(name))}")
    for kind in ordered_breakdowns():
        section = metrics.breakdown(kind)
        lines += [f"  {line}" for line in section.lines(rule)] if section else []
    return [*lines, *(f"note: {note}" for note in metrics.notes)]
