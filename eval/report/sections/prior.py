"""Leaning on the prior: how often an answer is just the training set's commonest, by question type."""

from __future__ import annotations

from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.report.blocks import MISSING, Cell, Column, Section, count_cell, make_table, score_cell, text_cell
from vqa_gs.eval.report.breakdowns import found, keys, number, splits_with
from vqa_gs.eval.report.content import Content
from vqa_gs.eval.report.sections import section


def _first(content: Content, split: str, *path: str) -> object:
    values = (found(run.metrics[split], *path) for run in content.runs if split in run.metrics)
    return next((value for value in values if value is not None), None)


def _row(content: Content, split: str, name: str, *path: str) -> tuple[Cell, ...]:
    def spread(arm: Arm, *rest: str) -> Spread | None:
        return arm.spread(split, lambda metrics: number(metrics, "prior", *path, *rest))

    answer = _first(content, split, "prior", *path, "prior_answer")
    questions, true = (_first(content, split, "prior", *path, key) for key in ("questions", "true_prior"))
    cells = [text_cell(name), text_cell(str(answer) if answer is not None else MISSING)]
    cells.append(count_cell(int(questions) if isinstance(questions, int) else None))
    cells.append(score_cell(Spread((float(true),)) if isinstance(true, int | float) else None))
    for arm in content.arms:
        cells.append(score_cell(spread(arm, "predicted_prior")))
        cells += [score_cell(spread(arm, "divergence", to), digits=3) for to in ("predicted_train", "predicted_true")]
    return tuple(cells)


@section("prior", 62)
def build(content: Content) -> Section | None:
    """Returns the table on the OOD split, on the in-domain one where there is no other."""
    splits = splits_with(content, "prior")
    split = next((name for name in (content.splits.ood, *splits) if name in splits), None)
    if split is None:
        return None
    columns = [
        Column("question type", numeric=False),
        Column("commonest in training", numeric=False),
        Column("questions"),
        Column("is true, %"),
    ]
    for arm in content.arms:
        columns += [Column(label, arm.name) for label in ("is given, %", "to training", "to truth")]
    kinds = keys(content, "prior", "per_question_type")
    rows = [_row(content, split, kind, "per_question_type", kind) for kind in kinds]
    rows.sort(key=lambda row: -(row[2].sort or 0.0))
    notes = (
        f"On {split}; answers compared as the rule {content.rule} compares them.",
        "“Is given”: how often the prediction is the training set's commonest answer of that type; “is true”: how "
        "often it is the majority answer here.",
        "“To training”, “to truth”: Jensen-Shannon divergence in bits of the predicted answers from those; nearer "
        "to training than to truth means leaning on the prior.",
    )
    name = "Leaning on the prior"
    whole = _row(content, split, "all types", "overall")
    table = make_table(name, notes, columns, [whole, *rows], filterable=True)
    return Section(name, "prior", "Prior", (table,)) if table else None
