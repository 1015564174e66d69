"""A report's main table for a paper: LaTeX with booktabs, one arm a row, the scoring rule in the caption."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.model_selection import selection_warnings
from vqa_gs.eval.report.published_results import PublishedTable, load_published
from vqa_gs.eval.report_content.content import Content, ordered_answer_types
from vqa_gs.eval.report_content.resampling import OVERALL, answer_type

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def escape_latex(text: str) -> str:
    """Returns text that LaTeX prints as it stands, on one line."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def _score(spread: Spread | None, *, strong: bool) -> str:
    if spread is None:
        return "--"
    mean = f"\\textbf{{{spread.mean:.2f}}}" if strong else f"{spread.mean:.2f}"
    return mean if spread.std is None else f"{mean} {{\\scriptsize $\\pm$ {spread.std:.2f}}}"


def _published(table: PublishedTable, columns: Sequence[tuple[str, str]]) -> list[str]:
    lines = [
        r"\midrule",
        f"\\multicolumn{{{len(columns) + 1}}}{{l}}{{\\emph{{Published, {escape_latex(table.test)}}}}} \\\\",
    ]
    for result in table.rows:
        printed = {
            "overall": result.overall,
            "yes/no": result.yes_no,
            "number": result.number,
            "other": result.other,
        }
        mark = r"$^\dagger$" if result.selected_on == "test" else ""
        cells = [(printed.get(kind) or "--") if side == "OOD" else "--" for side, kind in columns]
        lines.append(f"{escape_latex(result.method)}{mark} & {' & '.join(cells)} \\\\")
    return lines


def _table(content: Content) -> list[str]:
    splits = content.splits
    sides = [(label, split) for label, split in (("OOD", splits.ood), ("in-domain", splits.in_domain)) if split]
    sides = sides or [(split, split) for split in splits.names]
    kinds = ordered_answer_types(kind for metrics in content.metrics() for kind in metrics.per_answer_type)
    columns = [(label, kind) for label, _ in sides for kind in ("overall", *kinds)]
    width = 1 + len(kinds)
    named = " & ".join(f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(label)}}}" for label, _ in sides)
    rules = " ".join(f"\\cmidrule(lr){{{2 + at * width}-{1 + (at + 1) * width}}}" for at in range(len(sides)))
    heads = " & ".join(escape_latex("all" if kind == "overall" else kind) for _, kind in columns)
    lines = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        f" & {named} \\\\",
        rules,
        f"Arm & {heads} \\\\",
        r"\midrule",
    ]
    best: dict[tuple[str, str], int | None] = {}
    for label, split in sides:
        for kind in ("overall", *kinds):
            group = OVERALL if kind == "overall" else answer_type(kind)
            spreads = [_pick(arm, split, kind) for arm in content.arms]
            best[label, kind] = content.best(spreads, split, group)
    for index, arm in enumerate(content.arms):
        cells = [
            _score(_pick(arm, split, kind), strong=best[label, kind] == index)
            for label, split in sides
            for kind in ("overall", *kinds)
        ]
        seeds = f" ({len(arm.runs)} seeds)" if len(arm.runs) > 1 else " (1 seed)"
        lines.append(f"{escape_latex(arm.name + seeds)} & {' & '.join(cells)} \\\\")
    caption = [
        f"Accuracy in \\%, scored by {escape_latex(content.rule)}; mean $\\pm$ standard deviation over seeds. "
        f"{escape_latex(content.split_note())}"
    ]
    if content.options.published:
        published = load_published(content.options.published)
        lines += _published(published, columns)
        caption.append(
            f"Published rows: {escape_latex(published.source)}; $^\\dagger$: selected on the test set itself."
        )
    caption += [f"\\textbf{{{escape_latex(warning)}}}" for warning in selection_warnings(content.runs)]
    lines += [r"\bottomrule", r"\end{tabular}", f"\\caption{{{' '.join(caption)}}}", r"\end{table}"]
    return lines


def _pick(arm: Arm, split: str, kind: str) -> Spread | None:
    return arm.overall(split) if kind == "overall" else arm.answer_type(split, kind)


def render_latex(contents: Sequence[Content]) -> str:
    """Returns a table for each scoring rule: arms down, answer types of both sides of the shift across.

    Args:
        contents: one for each scoring rule.
    """
    return "\n\n".join("\n".join(_table(content)) for content in contents) + "\n"
