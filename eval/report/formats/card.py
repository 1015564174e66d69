"""A model's card as HTML, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from vqa_gs.eval.report.card import Card, Line, Side, selected_on
from vqa_gs.eval.report.formats.csv_table import cell_text
from vqa_gs.eval.report.formats.html import column_groups
from vqa_gs.eval.report.formats.latex import escape_latex
from vqa_gs.eval.report.formats.markdown import escape_markdown, table_lines
from vqa_gs.eval.report.ood_mean import estimate_cell
from vqa_gs.eval.report_content.blocks import MISSING, Cell, Column, Table, count_cell, text_cell
from vqa_gs.eval.report_content.content import scoring_rule
from vqa_gs.eval.report_content.marks import Estimate

from vqa_gs.common.web import script_hash

COLUMNS = ("test", "measure", "side", "scoring", "count", "arm", "seeds", "score", "std", "low", "high", "in_domain")
_WHOLE = "all questions"


def tables(card: Card) -> list[Table]:
    """Returns the card's tables: the tests, how the arms were made, what others report."""
    rules = ", ".join(sorted({scoring_rule(line.scoring) for line in card.lines}))
    notes = (
        f"In %. Scoring rules: {rules}. Mean ± standard deviation over seeds; below, where known, the 95 % interval"
        " over questions (images resampled) and seeds.",
        "In-domain beside an OOD test: the accuracy of the same models on the in-domain questions scored by that rule.",
    )
    columns = [
        Column("test", numeric=False),
        Column("measure", numeric=False),
        Column("questions"),
        Column("rule", numeric=False),
    ]
    for name in card.arms:
        columns += [Column("in-domain", name, "in"), Column("OOD", name, "ood")]
    columns.append(Column("published", numeric=False))
    rows = []
    for line in card.lines:
        first = [
            text_cell(line.test),
            text_cell(line.measure or _WHOLE),
            count_cell(line.count),
            text_cell(line.scoring),
        ]
        cells = [estimate_cell(value) for name in card.arms for value in _sides(line, name)]
        rows.append((*first, *cells, text_cell(line.published or MISSING)))
    found = [Table("Tests", notes, tuple(columns), tuple(rows))]
    made = Table(
        "How the models were made",
        ("Selection: what the epoch that is reported was chosen on.",),
        tuple(Column(name, numeric=False) for name in ("arm", "seeds", "selection", "made with")),
        tuple(
            (text_cell(one.arm), text_cell(one.seeds), text_cell(one.selection), text_cell(one.made))
            for one in card.made
        ),
    )
    found.append(made)
    for one in card.published:
        warned = () if one.same else (_not_the_same(one.test, one.questions, one.table.test, one.table.questions),)
        inside = any(row.in_domain for row in one.table.rows)
        heads = [Column("method", numeric=False), Column("OOD" if inside else "accuracy")]
        heads += [Column("in-domain")] if inside else []
        found.append(
            Table(
                f"Published: {one.table.test}",
                (f"{one.table.source}.",),
                (*heads, Column("selected on", numeric=False)),
                tuple(
                    (
                        text_cell(row.method),
                        Cell(row.overall, sort=float(row.overall)),
                        *([Cell(row.in_domain or MISSING)] if inside else []),
                        text_cell(selected_on(row.selected_on)),
                    )
                    for row in one.table.rows
                ),
                warnings=warned,
            )
        )
    return found


def _sides(line: Line, arm: str) -> tuple[Estimate | None, Estimate | None]:
    found = line.arms.get(arm, Side(None, None))
    return found.inside, found.outside


def _not_the_same(test: str, questions: int | None, theirs: str, count: int) -> str:
    own = "no questions" if questions is None else f"{questions:,} questions"
    return f"Not the same test: {test} has {own}, {theirs} has {count:,}. The numbers must not be compared."


def render_html(title: str, written: str, card: Card) -> str:
    """Returns the card as an HTML page that needs nothing but itself; everything that comes from runs is escaped."""
    loader = PackageLoader("vqa_gs.eval.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["groups"] = column_groups
    environment.globals["swatch"] = lambda index: Markup("")

    def source(name: str) -> str:
        return loader.get_source(environment, name)[0]

    script = source("tables.js")
    return environment.get_template("card.html").render(
        title=title,
        written=written,
        card=card,
        tables=tables(card),
        script=Markup(script),
        style=Markup(source("charts.css") + source("report.css")),
        script_hash=script_hash(script),
    )


def render_markdown(title: str, written: str, card: Card) -> str:
    """Returns the card as Markdown."""
    lines = [f"# {escape_markdown(title)}", "", escape_markdown(written), ""]
    lines += [f"**Selected on the test. {escape_markdown(warning)}**\n" for warning in card.warnings]
    for table in tables(card):
        lines += [f"## {escape_markdown(table.name)}", "", *table_lines(table)]
    lines += [f"- {escape_markdown(note)}" for note in card.notes]
    return "\n".join(lines).rstrip() + "\n"


def render_latex(card: Card) -> str:
    """Returns the card's tests as a LaTeX table with booktabs, published results under them."""
    width = len(card.arms)
    heads = " & ".join(f"\\multicolumn{{2}}{{c}}{{{escape_latex(name)}}}" for name in card.arms)
    rules = " ".join(f"\\cmidrule(lr){{{4 + 2 * at}-{5 + 2 * at}}}" for at in range(width))
    lines = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering\small",
        f"\\begin{{tabular}}{{llr{'rr' * width}}}",
        r"\toprule",
        f" & & & {heads} \\\\",
        rules,
        f"Test & Rule & $n$ & {' & '.join(['in-domain & OOD'] * width)} \\\\",
        r"\midrule",
    ]
    for line in card.lines:
        name = escape_latex(line.measure or line.test)
        indent = r"\quad " if line.measure else ""
        cells = [_latex(value) for arm in card.arms for value in _sides(line, arm)]
        count = "--" if line.count is None else f"{line.count:,}".replace(",", "{,}")
        lines.append(f"{indent}{name} & {escape_latex(line.scoring)} & {count} & {' & '.join(cells)} \\\\")
    for one in card.published:
        if not one.same:
            continue
        span = 3 + 2 * width
        lines += [
            r"\midrule",
            f"\\multicolumn{{{span}}}{{l}}{{\\emph{{Published, {escape_latex(one.table.test)}}}}} \\\\",
        ]
        for row in one.table.rows:
            mark = {"test": r"$^\dagger$", "unknown": r"$^\ddagger$"}.get(row.selected_on, "")
            rest = " & ".join([""] * (2 * width - 2)) + " & " if width > 1 else ""
            lines.append(f"{escape_latex(row.method)}{mark} & & & {rest}{row.in_domain or '--'} & {row.overall} \\\\")
    caption = (
        "In \\%; mean $\\pm$ standard deviation over seeds, in brackets the 95\\,\\% interval over questions and seeds."
    )
    if card.published:
        caption += r" $^\dagger$: selected on the test set itself; $^\ddagger$: not known what on."
    chosen = " ".join(escape_latex(f"{one.arm}: {one.seeds} seeds; {one.selection}.") for one in card.made)
    warned = " ".join(f"\\textbf{{{escape_latex(warning)}}}" for warning in card.warnings)
    notes = " ".join(escape_latex(note) for note in card.notes)
    text = " ".join(part for part in (caption, chosen, warned, notes) if part)
    lines += [r"\bottomrule", r"\end{tabular}", f"\\caption{{{text}}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _latex(found: Estimate | None) -> str:
    if found is None:
        return "--"
    text = f"{found.mean:.2f}"
    if found.spread.std is not None:
        text += f" {{\\scriptsize $\\pm$ {found.spread.std:.2f}}}"
    if found.interval is not None:
        text += f" {{\\scriptsize [{found.interval[0]:.1f}, {found.interval[1]:.1f}]}}"
    return text


def render_csv(card: Card) -> str:
    """Returns the card's numbers unrounded, a line, an arm a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in card.lines:
        for arm in card.arms:
            inside, outside = _sides(line, arm)
            found = outside if line.side == "ood" else inside
            if found is None:
                continue
            low, high = found.interval or ("", "")
            beside = repr(inside.mean) if line.side == "ood" and inside is not None else ""
            std = "" if found.spread.std is None else repr(found.spread.std)
            first = [cell_text(line.test), cell_text(line.measure), line.side or "", line.scoring]
            count = "" if line.count is None else line.count
            writer.writerow(
                [*first, count, cell_text(arm), found.spread.count, repr(found.mean), std, low, high, beside]
            )
    return text.getvalue()
