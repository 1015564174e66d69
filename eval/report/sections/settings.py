"""In what settings the arms differ: arms that are compared should differ in what is compared, and in nothing else."""

from __future__ import annotations

from typing import Any

from vqa_gs.eval.arms import Arm, without_seed
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import MISSING, Column, Section, Table, text_cell
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import flatten

# What tells runs apart by design.
_EXPECTED = ("name", "seed")
# How long and how runs were trained: the same for arms that are compared, unless that is what is compared.
_BUDGET = ("training.", "scoring", "data.train", "data.features", "data.iid_val", "data.val_fraction")
_LONGEST = 60
_FILTERED = 15


@section("settings", 12)
def build(content: Content) -> Section | None:
    """Returns the table of settings that differ; None for one arm, or where no run tells its settings."""
    arms = [arm for arm in content.arms if any(run.config for run in arm.runs)]
    if len(arms) < 2:
        return None
    told = [_values(arm) for arm in arms]
    fields = [
        name
        for name in dict.fromkeys(name for values in told for name in values)
        if len({values.get(name, MISSING) for values in told}) > 1
    ]
    if not fields:
        return None
    trained = [name for name in fields if name.startswith(_BUDGET)]
    warnings: tuple[str, ...] = ()
    if trained:
        warnings = (
            f"The arms differ in how they were trained or on what: {', '.join(trained)}. What such a difference does"
            " cannot be told from what the arms stand for.",
        )
    columns = (Column("setting", numeric=False), *(Column(arm.name, numeric=False) for arm in arms))
    rows = tuple((text_cell(name), *(text_cell(values.get(name, MISSING)) for values in told)) for name in fields)
    notes = (f"Scoring rule: {content.rule}. Every setting in which two arms differ; all others are the same.",)
    table = Table("Settings that differ", notes, columns, rows, len(rows) > _FILTERED, warnings)
    return Section("Settings that differ", "settings", "Settings", (table,))


def _values(arm: Arm) -> dict[str, str]:
    """Returns an arm's settings as texts; its runs differ in the seed alone, or were two arms."""
    config = next(run.config for run in arm.runs if run.config)
    return {name: _text(value) for name, value in flatten(config).items() if name not in _EXPECTED}


def _text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return MISSING
    text = without_seed(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"
