"""The first figure: in-domain accuracy against the mean over OOD tests, an arm a point, published results in grey."""

from __future__ import annotations

from vqa_gs.eval.breakdowns.subset_means import SubsetMeans
from vqa_gs.eval.report.ood_mean import Figure, estimate, estimate_cell, in_domain_split, ood_figures
from vqa_gs.eval.report.published_results import PublishedTable, load_published
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Column, Figures, Section, Table, text_cell
from vqa_gs.eval.report_content.charts.plane import PlaneChart, Point, Reference
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.resampling import OVERALL
from vqa_gs.eval.suite_record import read_records

_NAME = "In-domain beside OOD"


def comparable_tables(content: Content, figure: Figure) -> list[PublishedTable]:
    """Returns the tables of published results on just this test, by the number of its questions."""
    names = {content.options.published} if content.options.published else set()
    for run in content.runs:
        for record in read_records(run.folder).values():
            names |= {test.published for test in record.tests if test.published and figure.split in test.splits}
    questions = content.most(figure.split, lambda metrics: metrics.questions)
    if figure.mean:
        questions = next(
            (one.means[figure.mean].questions for one in content.breakdowns(SubsetMeans, figure.split)), None
        )
    tables = [load_published(name) for name in sorted(names)]
    return [table for table in tables if table.questions == questions]


@section("beside", 5)
def build(content: Content) -> Section | None:
    """Returns figure and table; None where a side of the shift is missing."""
    inside, figures = in_domain_split(content), ood_figures(content)
    if inside is None or not figures:
        return None
    across = Figure(inside, "", (OVERALL,))
    points, rows = [], []
    for index, arm in enumerate(content.arms):
        one, other = estimate(content, arm, [across]), estimate(content, arm, figures)
        if one is None or other is None:
            continue
        points.append(Point(arm.name, index, one, other))
        each = [estimate(content, arm, [figure]) for figure in figures] if len(figures) > 1 else []
        rows.append((text_cell(arm.name), *map(estimate_cell, (one, other, *each))))
    if not points:
        return None
    tables = comparable_tables(content, figures[0]) if len(figures) == 1 else []
    references = tuple(
        Reference(row.method, float(row.in_domain), float(row.overall))
        for table in tables
        for row in table.rows
        if row.in_domain is not None
    )
    names = ", ".join(figure.name for figure in figures)
    title = f"OOD: mean over {len(figures)} tests, %" if len(figures) > 1 else f"OOD: {names}, %"
    chart = PlaneChart(f"{title} ({content.scoring})", tuple(points), f"in-domain: {inside}, %", published=references)
    notes = [
        f"Scoring rule: {content.rule}. In-domain: {inside}; OOD: the mean over {names}, each counting the same.",
        "Whiskers and numbers below: 95 % interval over questions and seeds, where known.",
    ]
    if references:
        notes.append(f"Grey: published ({'; '.join(table.source for table in tables)}).")
    columns = [Column("arm", numeric=False), Column("in-domain", side="in")]
    columns.append(Column("mean OOD", side="ood"))
    columns += [Column(figure.name, side="ood") for figure in figures]
    if len(figures) == 1:  # the table of the arms, which follows, says the same
        return Section(_NAME, "beside", _NAME, (Figures((chart,), "arms", tuple(notes)),))
    table = Table(_NAME, tuple(notes), tuple(columns), tuple(rows))
    return Section(_NAME, "beside", _NAME, (Figures((chart,), "arms"), table))
