"""Published results beside one's own, only where they were asked for."""

from __future__ import annotations

from vqa_gs.eval.report.published_results import load_published
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Cell, Column, Section, Table, score_cell, text_cell
from vqa_gs.eval.report_content.content import ANSWER_TYPES, Content
from vqa_gs.eval.report_content.resampling import OVERALL, answer_type

SELECTED = {
    "validation": "held-out validation data",
    "fixed": "nothing: the last of a fixed number of epochs",
    "test": "the test set itself",
    "unknown": "not known",
}


def _printed(text: str | None) -> Cell:
    if text is None:
        return text_cell("–")
    # A figure space for a digit that was not printed keeps the points in one line.
    return Cell(text + "\N{FIGURE SPACE}" * (2 - len(text.partition(".")[2])), sort=float(text))


@section("published", 15)
def build(content: Content) -> Section | None:
    """Returns own arms first, then the published methods under their names; nothing is set off as best."""
    name, split = content.options.published, content.splits.ood
    if name is None:
        return None
    table = load_published(name)
    rows = []
    for arm in content.arms:
        if split is None or arm.overall(split) is None:
            continue
        cells = [
            text_cell(arm.name),
            text_cell("here"),
            score_cell(arm.overall(split), content.interval(arm, split, OVERALL)),
        ]
        cells += [
            score_cell(arm.answer_type(split, kind), content.interval(arm, split, answer_type(kind)))
            for kind in ANSWER_TYPES
        ]
        rows.append((*cells, text_cell("see “How it was made”")))
    for result in table.rows:
        scores = (result.overall, result.yes_no, result.number, result.other)
        selected = text_cell(SELECTED[result.selected_on])
        rows.append((text_cell(result.method), text_cell("published"), *map(_printed, scores), selected))
    columns = [Column("method", numeric=False), Column("from", numeric=False), Column("all")]
    columns += [Column(kind) for kind in ANSWER_TYPES]
    columns.append(Column("selected on", numeric=False))
    questions = content.most(split, lambda metrics: metrics.questions) if split else None
    notes = [
        f"Rows “here”: {split or 'no OOD split'}, scored by {content.rule}.",
        f"Rows “published”: {table.test}, {table.source}.",
        "Results selected on the test set are too high by an unknown amount and not like for like with the others.",
    ]
    warnings = []
    if questions != table.questions:
        own = "no questions" if questions is None else f"{questions:,} questions"
        warnings.append(
            f"Not the same test: {split or 'no OOD split'} has {own}, {table.test} has {table.questions:,}. "
            "The numbers must not be compared."
        )
    heading = f"Beside published results: {table.test}"
    block = Table(heading, tuple(notes), tuple(columns), tuple(rows), warnings=tuple(warnings))
    return Section(heading, "published", "Published results", (block,))
