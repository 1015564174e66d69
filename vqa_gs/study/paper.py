"""A study's main numbers for a paper: CSV, and a LaTeX table of the arms."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vqa_gs.eval.report.formats.csv_table import cell_text
from vqa_gs.eval.report.formats.latex import escape_latex
from vqa_gs.eval.report_content.content import Content, quantity, scoring_rule
from vqa_gs.eval.statistics import LEVEL
from vqa_gs.study.headline import looked_at
from vqa_gs.study.results import Score
from vqa_gs.study.summary import Dataset

COLUMNS = (
    *("dataset", "scoring", "split", "domain", "measure", "name", "questions", "arm", "runs"),
    *("mean", "std", "low", "high", "interval_over"),
    *("against", "difference", "difference_low", "difference_high", "p", "p_holm", "comparisons"),
)
# Question types, and what breakdowns measure, are in study.json.
_KINDS = ("overall", "answer_type", "subset", "pair_accuracy")


def _interval(interval: tuple[float, float] | None) -> tuple[object, object]:
    return ("", "") if interval is None else interval


def render_study_csv(datasets: Sequence[Dataset]) -> str:
    """Returns the accuracies as CSV, unrounded: on all questions, answer types and subsets.

    A row is an arm, or an arm and one of those that it is tested against.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for data in datasets:
        sides = {split: side for content in data.contents for split, side in content.splits.sides.items()}
        for one in (one for one in data.measures if one.kind in _KINDS):
            for arm, score in one.arms.items():
                seen = score.over_seeds
                first = [data.name, one.scoring, one.split, sides.get(one.split) or "", one.kind, one.name]
                counted = "" if one.count is None else one.count
                row: list[object] = [*map(cell_text, first), counted, cell_text(arm), len(seen.values), seen.mean]
                std = "" if seen.std is None else seen.std
                row += [std, *_interval(seen.shown_interval), "+".join(seen.shown_over)]
                for difference in score.differences or (None,):
                    if difference is None:
                        writer.writerow([*row, *[""] * 7])
                        continue
                    tested = ["" if p is None else p for p in (difference.p, difference.p_holm)]
                    low, high = _interval(difference.shown_interval)
                    against = cell_text(difference.against)
                    writer.writerow([*row, against, difference.mean, low, high, *tested, difference.comparisons])
    return text.getvalue()


def _score(score: Score | None) -> str:
    if score is None:
        return "--"
    seen = score.over_seeds
    mean = f"\\textbf{{{seen.mean:.1f}}}" if score.is_above else f"{seen.mean:.1f}"
    if seen.shown_interval is None:
        return mean
    low, high = (f"{end:.1f}".replace("-", "$-$") for end in seen.shown_interval)
    return f"{mean} {{\\scriptsize ({low} to {high})}}"


def _table(data: Dataset, content: Content) -> list[str]:
    columns = looked_at(data, content)
    arms = [arm for arm in data.arms if any(arm.name in one.measure.arms for one in columns)]
    heads = " & ".join(escape_latex(one.label) for one in columns)
    lines = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        f"Arm & {heads} \\\\",
        r"\midrule",
    ]
    for arm in arms:
        cells = " & ".join(_score(one.measure.arms.get(arm.name)) for one in columns)
        lines.append(f"{escape_latex(arm.name)} ({len(arm.done)}) & {cells} \\\\")
    name = f"{data.name}: " if data.name else ""
    caption = (
        f"{escape_latex(name + quantity(content.scoring))} in \\%, scored by"
        f" {escape_latex(scoring_rule(content.scoring))}; in brackets behind an arm its runs, behind a mean its"
        f" {100 * LEVEL:.0f}\\,\\% interval. Bold: above what it is tested against, by a paired test after Holm."
    )
    return [*lines, r"\bottomrule", r"\end{tabular}", f"\\caption{{{caption}}}", r"\end{table}"]


def render_study_latex(datasets: Sequence[Dataset]) -> str:
    """Returns a table for each dataset and scoring rule: arms down; OOD, in-domain and subsets across."""
    tables = [_table(data, content) for data in datasets for content in data.contents]
    return "\n\n".join("\n".join(table) for table in tables) + "\n"
