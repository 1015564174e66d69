"""How each run was made."""

from __future__ import annotations

from vqa_gs.eval.arms import Spread
from vqa_gs.eval.report.provenance import revision, run_card, versions
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import MISSING, Cards, Cell, Column, Section, Table, score_cell, text_cell
from vqa_gs.eval.report_content.content import Content


@section("runs", 90)
def build(content: Content) -> Section:
    """Returns the table of the runs and a card for each."""
    splits = content.splits
    columns = [Column("run", numeric=False), Column("arm", numeric=False), Column("seed")]
    columns += [Column(splits.label(split), side=splits.sides[split]) for split in splits.names]
    columns += [Column("git revision", numeric=False), Column("versions", numeric=False)]
    columns += [Column("finished", numeric=False)]
    rows = []
    for arm in content.arms:
        for run in arm.runs:
            cells = [text_cell(run.name), text_cell(arm.name)]
            cells.append(Cell(MISSING, sort=-1.0) if run.seed is None else Cell(str(run.seed), sort=run.seed))
            for split in splits.names:
                value = run.metrics[split].overall if split in run.metrics else None
                cells.append(score_cell(None if value is None else Spread((value,))))
            cells += [text_cell(revision(run)), text_cell(versions(run))]
            cells.append(text_cell("yes" if run.complete else "not marked"))
            rows.append(tuple(cells))
    notes = (f"Scoring rule: {content.rule}. Accuracy in %, one run a row.", content.split_note())
    table = Table("Runs", notes, tuple(columns), tuple(rows))
    cards = tuple(run_card(run, arm) for arm in content.arms for run in arm.runs)
    return Section("How each run was made", "runs", "How it was made", (table, Cards(cards)))
