"""A comparison as text: a table by type, and the questions that changed most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import HEAVY_HEAD
from rich.table import Table
from rich.text import Text
from vqa_gs.eval.compare import QUESTION_TYPE

TOP_TYPES = 20
# Columns that the whole table wants.
WIDE = 110


def _interval(row: Mapping[str, Any]) -> str:
    return "one image" if row["interval"] is None else f"[{row['interval'][0]:+.2f}, {row['interval'][1]:+.2f}]"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _verdict(row: Mapping[str, Any]) -> str:
    return f"{row['verdict']} ahead" if row["verdict"] else "undecided"


def comparison_table(comparison: Mapping[str, Any], top_types: int = TOP_TYPES, width: int = WIDE) -> Table:
    """Returns the differences by type; a difference that may be chance is called undecided, never a win.

    Args:
        comparison: of `compare`.
        top_types: how many question types are told, those with most questions.
        width: columns of the terminal; on a narrow one p before correction is left out, and the frame.
    """
    rule, level = comparison["scoring"], 100 * comparison["level"]
    narrow = width < WIDE
    table = Table(
        box=None if narrow else HEAVY_HEAD,
        padding=(0, 1, 0, 0) if narrow else (0, 1),
        title=Text(f"{comparison['a']} (a) against {comparison['b']} (b), % under {rule}"),
    )
    table.add_column("type", overflow="fold", min_width=10)
    names = ["questions", "a", "b", "a - b", f"{level:.0f} % interval", "p", "p (Holm)", "verdict"]
    if narrow:
        names.remove("p")
    for name in names:
        if name == "verdict":
            table.add_column(name, min_width=9)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    last = "overall"
    types = [row for row in comparison["rows"] if row["kind"] == QUESTION_TYPE]
    told = sorted(types, key=lambda row: -row["questions"])[:top_types]
    for row in comparison["rows"]:
        if row["kind"] == QUESTION_TYPE and row not in told:
            continue
        if row["kind"] != last:
            table.add_section()
            last = row["kind"]
        table.add_row(
            Text(row["name"] or "all questions"),
            f"{row['questions']:,}",
            f"{row['a']:.2f}",
            f"{row['b']:.2f}",
            f"{row['difference']:+.2f}",
            _interval(row),
            *([] if narrow else [_p(row["p"])]),
            _p(row["p_corrected"]),
            _verdict(row),
        )
    if len(types) > len(told):
        table.caption = Text(f"and {len(types) - len(told)} more question types (--top-types)")
    return table


def comparison_lines(comparison: Mapping[str, Any]) -> list[str]:
    """Returns what stands under the table: seeds, McNemar's test, the questions that changed most."""
    several = any(len(comparison["seeds"][name]["overall"]) > 1 for name in "ab")
    seeds_too = ", over seeds too" if several else ""
    lines = [
        f"intervals from {comparison['replicates']:,} resamplings of images{seeds_too},"
        f" p from {comparison['permutations']:,} swaps of images, seed {comparison['seed']};"
        " a win needs an interval without 0 and p (Holm) below 0.05"
    ]
    seeds = comparison["seeds"]
    for name in "ab":
        part = seeds[name]
        spread = "" if part["std"] is None else f", standard deviation {part['std']:.2f}"
        count = len(part["overall"])
        lines.append(f"{comparison[name]}: {count} seed{'s' if count > 1 else ''}, mean {part['mean']:.2f}{spread}")
    if seeds["wilcoxon_p"] is not None:
        lines.append(f"Wilcoxon over seeds: p = {_p(seeds['wilcoxon_p'])}")
    test = comparison["mcnemar"]
    if test is not None:
        lines.append(
            f"fully right by a alone {test['only_a']:,}, by b alone {test['only_b']:,}: McNemar p = {_p(test['p'])}"
            " (questions taken as independent)"
        )
    if comparison["changed"]:
        lines += ["", f"the {len(comparison['changed'])} questions that changed most:"]
    for entry in comparison["changed"]:
        answers = [" | ".join("(none)" if text is None else text for text in entry[f"answers_{end}"]) for end in "ab"]
        lines.append(
            f"  {entry['question_id']} (image {entry['image_id']}) {' '.join(entry['question'].split())}"
            f"  truth: {entry['truth']}; a: {answers[0]} ({entry['a']:.0f} %); b: {answers[1]} ({entry['b']:.0f} %)"
        )
    return lines
