"""The tables of a study's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vqa_gs.eval.arms import Spread
from vqa_gs.eval.breakdown import StudyKind, study_kinds
from vqa_gs.eval.report_content.blocks import (
    MISSING,
    Cell,
    Column,
    Table,
    count_cell,
    interval_text,
    make_table,
    score_cell,
    text_cell,
)
from vqa_gs.eval.report_content.content import Content, examples_word, quantity, scoring_rule
from vqa_gs.eval.report_content.verdicts import SEEDS, points
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION
from vqa_gs.eval.statistics import LEVEL, Interval
from vqa_gs.study.results import Measure, Score
from vqa_gs.study.statistics import Difference
from vqa_gs.study.summary import SELECTION, ArmState, Dataset

# By kind of measure; breakdowns bring their own.
_HEADINGS = {
    "answer_type": "By answer type",
    "question_type": "By question type",
    "pair_accuracy": "Pair accuracy",
    "subset": "Subsets",
}


def _p(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def seconds_text(arm: ArmState) -> str:
    """Returns the mean training time of an arm's runs."""
    return MISSING if arm.mean_seconds is None else f"{arm.mean_seconds:,.0f}"


def score_of(score: Score | None, more_is_better: bool = True) -> Cell:
    """Returns a mean with its deviation and interval, strong where it is above all it is tested against."""
    if score is None:
        return score_cell(None)
    found = score.over_seeds
    spread = Spread(tuple(found.values.values()))
    interval = found.shown_interval and Interval(*found.shown_interval)
    return score_cell(spread, interval, strong=more_is_better and score.is_above)


def difference_cell(difference: Difference | None) -> Cell:
    """Returns a difference with its interval, p-values, and what both are over."""
    if difference is None:
        return Cell(MISSING, sort=-1e9)
    runs = f"{difference.seeds} seed{'s' if difference.seeds > 1 else ''}"
    if difference.worlds > 1:
        runs = f"{difference.worlds} worlds x {runs}"
    tested = max(difference.seeds, difference.worlds) >= SEEDS
    tests = f"p {_p(difference.p)}, Holm {_p(difference.p_holm)}, {runs}" if tested else f"not tested, {runs}"
    if {"image", "seed"} <= set(difference.shown_over) and difference.seed_interval is not None:
        tests += f"; over {'worlds and ' if difference.worlds > 1 else ''}seeds alone"
        tests += f" {interval_text(Interval(*difference.seed_interval))}"
    interval = interval_text(Interval(*difference.shown_interval)) if difference.shown_interval else ""
    strong = difference.decided and difference.mean > 0
    return Cell(points(difference.mean), tests, interval, difference.mean, strong)


def _over(measures: Sequence[Measure]) -> str:
    """Returns what the intervals of some measures are over."""
    names = {"image": "questions (images resampled)", "seed": "seeds", "world": "worlds"}
    over = {name for one in measures for score in one.arms.values() for name in score.over_seeds.shown_over}
    parts = [words for name, words in names.items() if name in over]
    text = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts) or "nothing yet"
    scores = [score.over_seeds for one in measures for score in one.arms.values()]
    if "image" in over and any("image" not in score.over for score in scores):
        text += ", without questions where single answers are not known"
    for name, words in (("seed", "seeds"), ("world", "worlds")):
        if any(name in score.over and name not in score.shown_over for score in scores):
            text += f", without {words} where there are two, which carry no interval"
    return text


def _where(data: Dataset, content: Content) -> str:
    """Returns what the splits are; of worlds, those of the first, and that means are over all of them."""
    if not data.worlds:
        return content.split_note()
    return f"Means over the worlds {', '.join(map(str, data.worlds))}. In the first: {content.split_note()}"


def _notes(data: Dataset, content: Content, measures: Sequence[Measure]) -> tuple[str, ...]:
    spread = "worlds and seeds" if data.worlds else "seeds"
    return (
        f"Scoring rule: {scoring_rule(content.scoring)}. {quantity(content.scoring)} in %, mean ± standard deviation"
        f" over {spread}; in brackets or below: {100 * LEVEL:.0f} % interval of the mean over {_over(measures)}.",
        _where(data, content),
        SELECTION,
    )


def _tests_note(measures: Sequence[Measure]) -> str:
    counts = {
        one.split: max((found.comparisons for score in one.arms.values() for found in score.differences), default=0)
        for one in measures
    }
    made = ", ".join(f"{count} on {split}" for split, count in counts.items() if count)
    if not made:
        return "No difference could be tested."
    return (
        "Differences: paired by seed; p two-sided, over all that the interval is over, corrected by Holm for the number"
        f" of tests ({made}). Bold: above what it is tested against with p (Holm) < 0.05 and an interval without 0."
    )


def first_looks(data: Dataset, content: Content, kind: str) -> list[Measure]:
    """Returns the measures of a kind under one rule, without those of splits that were looked at again."""
    return [
        one
        for one in data.measures
        if (one.scoring, one.kind) == (content.scoring, kind) and not content.splits.is_other_look(one.split)
    ]


def again_table(data: Dataset, content: Content) -> Table | None:
    """Returns the accuracies of splits that were looked at again; None where none was."""
    measures = [one for one in data.measures if (one.scoring, one.kind) == (content.scoring, "overall")]
    measures = [one for one in measures if content.splits.is_other_look(one.split)]
    columns = [
        Column("arm", numeric=False),
        *(Column(one.split, side=content.splits.sides[one.split]) for one in measures),
    ]
    rows = [
        (text_cell(arm.name), *(score_of(one.arms.get(arm.name)) for one in measures))
        for arm in data.arms
        if any(arm.name in one.arms for one in measures)
    ]
    about = (
        "The same splits with the last epoch's weights (last_epoch), and with a share of training's prior given back"
        " (above 0) or taken away (below 0) at test time."
    )
    return make_table("Looked at again", (about, *_notes(data, content, measures)), columns, rows)


def arms_table(data: Dataset, content: Content, links: Mapping[str, str]) -> Table | None:
    """Returns the table of the arms: in-domain and each test side by side, and what they took."""
    measures = first_looks(data, content, "overall")
    shown = [arm for arm in data.arms if any(arm.name in one.arms for one in measures)]
    if not shown:
        return None
    sides = content.splits.sides
    columns = [Column("arm", numeric=False), Column("runs" if data.worlds else "seeds")]
    columns += [Column(content.splits.label(one.split), side=sides[one.split]) for one in measures]
    subsets = [one for one in first_looks(data, content, "subset") if sides[one.split] == "ood" and ":" not in one.name]
    columns += [Column(f"{content.splits.label(one.split)}, {one.name}", side="ood") for one in subsets]
    columns += [Column("s a run"), Column("pairs"), Column("parameters")]
    rows = []
    for arm in shown:
        done = f"{len(arm.done)}" if len(arm.done) == arm.planned else f"{len(arm.done)} of {arm.planned}"
        cells = [text_cell(arm.name, link=links.get(arm.name, "")), text_cell(done, sort=len(arm.done))]
        cells += [score_of(one.arms.get(arm.name)) for one in (*measures, *subsets)]
        cells += [text_cell(seconds_text(arm), sort=arm.mean_seconds), count_cell(arm.pairs)]
        rows.append((*cells, count_cell(arm.parameters)))
    lost = [
        f"{arm.name}, {'world/seed' if data.worlds else 'seed'} {label}: failed, {why.rstrip('.')}."
        for arm in data.arms
        for label, why in arm.failed.items()
    ]
    left = sum(len(arm.missing) for arm in data.arms)
    if left:
        lost.append(f"{left} runs are still to do.")
    took = "s a run: training, with its looks at the in-domain split, without the tests."
    notes = (*_notes(data, content, measures), _tests_note(measures), took)
    return Table("Arms", notes, tuple(columns), tuple(rows), warnings=tuple(lost))


def differences_table(data: Dataset, content: Content) -> Table | None:
    """Returns the table of the differences on all questions: a row a pair of arms, in-domain and tests side by side."""
    measures = first_looks(data, content, "overall")
    found = {
        (one.split, arm, difference.against): difference
        for one in measures
        for arm, score in one.arms.items()
        for difference in score.differences
    }
    if not found:
        return None
    label, sides = content.splits.label, content.splits.sides
    columns = [Column("arm", numeric=False), Column("against", numeric=False)]
    columns += [Column(label(one.split), side=sides[one.split], numeric=False) for one in measures]
    rows = [
        (
            text_cell(arm.name),
            text_cell(against),
            *(difference_cell(found.get((one.split, arm.name, against))) for one in measures),
        )
        for arm in data.arms
        for against in arm.against
        if any((one.split, arm.name, against) in found for one in measures)
    ]
    notes = (
        f"Scoring rule: {scoring_rule(content.scoring)}. Difference in points; below or in brackets:"
        f" {100 * LEVEL:.0f} % interval of the mean difference over {_over(measures)}.",
        _where(data, content),
        SELECTION,
        _tests_note(measures),
    )
    return Table("Differences", notes, tuple(columns), tuple(rows))


def kind_table(
    data: Dataset, content: Content, kind: str, heading: str, breakdown: StudyKind | None = None
) -> Table | None:
    """Returns the table of one kind of measure: its names down, in-domain and tests of each arm across."""
    higher_is_better = breakdown is None or breakdown.higher_is_better
    measures = first_looks(data, content, kind)
    if not measures:
        return None
    splits = [split for split in content.splits.names if any(one.split == split for one in measures)]
    at = {(one.split, one.name): one for one in measures}
    arms = [arm.name for arm in data.arms if any(arm.name in one.arms for one in measures)]
    names = list(dict.fromkeys(one.name for one in measures))
    if breakdown or kind == "question_type":
        names.sort(key=lambda name: -sum(one.count or 0 for one in measures if one.name == name))
    label, sides = content.splits.label, content.splits.sides
    columns = [Column("", numeric=False)]
    is_map = content.scoring == MEAN_AVERAGE_PRECISION
    counted = "pairs" if kind == "pair_accuracy" else examples_word(content.scoring)
    columns += [Column(label(split), counted) for split in splits]
    columns += [Column(label(split), arm, sides[split]) for arm in arms for split in splits]
    rows = []
    for name in names:
        found = [at.get((split, name)) for split in splits]
        cells = [text_cell(name or "all"), *(count_cell(one.count if one else None) for one in found)]
        cells += [score_of(one.arms.get(arm) if one else None, higher_is_better) for arm in arms for one in found]
        rows.append(tuple(cells))
    notes = (breakdown.meaning, _where(data, content), SELECTION) if breakdown else _notes(data, content, measures)
    if higher_is_better:
        notes = (*notes, _tests_note(measures))
    return Table(
        "By class" if kind == "answer_type" and is_map else heading,
        notes,
        tuple(columns),
        tuple(rows),
        filterable=len(rows) > 15,
    )


def runs_table(data: Dataset, content: Content, links: Mapping[tuple[str, int | str], str]) -> Table | None:
    """Returns the table of the runs, each leading to the report of its arm.

    Args:
        data: the dataset.
        content: its runs under one rule.
        links: addresses by arm and seed, or "world/seed".
    """
    measures = first_looks(data, content, "overall")
    columns = [Column("arm", numeric=False), Column("world/seed" if data.worlds else "seed", numeric=False)]
    columns += [Column(content.splits.label(one.split), side=content.splits.sides[one.split]) for one in measures]
    columns.append(Column("s"))
    rows = []
    for arm in data.arms:
        for label in arm.done:
            seconds = arm.seconds.get(label)
            values = [
                one.arms[arm.name].over_seeds.values.get(label) if arm.name in one.arms else None for one in measures
            ]
            if any(value is not None for value in values):
                cells = [text_cell(arm.name, link=links.get((arm.name, label), "")), text_cell(str(label))]
                cells += [score_cell(None if value is None else Spread((value,))) for value in values]
                cells.append(text_cell(MISSING if seconds is None else f"{seconds:,.0f}", sort=seconds))
                rows.append(tuple(cells))
    notes = (
        f"Scoring rule: {scoring_rule(content.scoring)}. {quantity(content.scoring)} in %, one run a row; an arm's name"
        " leads to the report of its runs, with their curves, examples and records.",
        _where(data, content),
    )
    return Table("Runs", notes, tuple(columns), tuple(rows), filterable=len(rows) > 15) if rows else None


def tables_of(data: Dataset, content: Content, links: Mapping[str, str]) -> list[Table]:
    """Returns the tables of the arms of one dataset and scoring rule; their names lead to ``links``."""
    found = [arms_table(data, content, links), differences_table(data, content)]
    found += [kind_table(data, content, kind, heading) for kind, heading in _HEADINGS.items()]
    found += [kind_table(data, content, own.kind, own.heading, own) for own in study_kinds()]
    found.append(again_table(data, content))
    return [table for table in found if table is not None]
