"""What a report says, free of how it looks: sections of tables, from which HTML and Markdown are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from eval.report_provenance import MISSING, RunCard, revision, run_card, versions
from eval.report_verdicts import (
    COMPARISON_WORDS,
    Comparison,
    Headline,
    Splits,
    cautions,
    choose_splits,
    compare,
    find_baseline,
    headline,
    other_sentence,
    points,
    same_questions,
)
from eval.runs import (
    Arm,
    PairAccuracy,
    RunSummary,
    SplitMetrics,
    Spread,
    SubsetMetrics,
    group_runs,
)

SCORING_WORDS = {
    "official": "as the VQA evaluation script computes it",
}
ANSWER_TYPES = ("yes/no", "number", "other")


class Column(msgspec.Struct, frozen=True):
    """A column of a table; neighbours with the same non-empty group stand under one heading."""

    label: str
    group: str = ""
    side: str | None = None
    numeric: bool = True


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table.

    Attributes:
        text: what to print.
        spread: the deviation printed behind it, or "".
        sort: what to sort by; None sorts by the text.
        strong: whether the cell is set off: the highest, and clear of the others.
    """

    text: str
    spread: str = ""
    sort: float | None = None
    strong: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table with what a reader must know beside it.

    Attributes:
        name: what it shows.
        notes: the scoring rule first, then whatever else is needed to read the numbers.
        columns: its columns.
        rows: its cells, each row as long as ``columns``.
        filterable: whether it is long enough to be worth a filter.
    """

    name: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    filterable: bool = False


class Tile(msgspec.Struct, frozen=True):
    """One number of the summary."""

    label: str
    value: str
    spread: str = ""
    side: str | None = None


class Section(msgspec.Struct, frozen=True):
    """All that was scored by one rule."""

    scoring: str
    rule: str
    arms: tuple[Arm, ...]
    splits: Splits
    headline: Headline
    tiles: tuple[Tile, ...]
    remarks: tuple[str, ...]
    cautions: tuple[str, ...]
    summary: Table
    accuracy: Table
    question_types: Table | None
    pairs: Table | None
    subsets: Table | None
    runs: Table
    cards: tuple[RunCard, ...]


def scoring_rule(scoring: str) -> str:
    """Returns the scoring rule in words."""
    known = SCORING_WORDS.get(scoring)
    return f"{scoring} ({known})" if known else scoring


def by_scoring(runs: Iterable[RunSummary]) -> dict[str, list[RunSummary]]:
    """Returns, for each scoring rule, the runs with only the scores that follow it."""
    runs = list(runs)
    rules = sorted({metrics.scoring for run in runs for metrics in run.metrics.values()})
    parted: dict[str, list[RunSummary]] = {}
    for rule in rules:
        for run in runs:
            kept = {split: metrics for split, metrics in run.metrics.items() if metrics.scoring == rule}
            if kept:
                parted.setdefault(rule, []).append(msgspec.structs.replace(run, metrics=kept))
    return parted


def _text(text: str, *, sort: float | None = None, strong: bool = False) -> Cell:
    return Cell(text, sort=sort, strong=strong)


def _count(value: int | None) -> Cell:
    return Cell(MISSING, sort=-1.0) if value is None else Cell(f"{value:,}", sort=float(value))


def _score(spread: Spread | None, *, strong: bool = False) -> Cell:
    if spread is None:
        return Cell(MISSING, sort=-1.0)
    std = "" if spread.std is None else f"± {spread.std:.2f}"
    return Cell(f"{spread.mean:.2f}", std, spread.mean, strong)


def _clear_best(spreads: Sequence[Spread | None]) -> int | None:
    """Returns the index of the spread that lies clear above all others, if there is one."""
    known = sorted(
        ((spread, index) for index, spread in enumerate(spreads) if spread is not None),
        key=lambda item: -item[0].mean,
    )
    if len(known) < 2:
        return None
    top, best = known[0]
    return best if all(compare(top, other) == "above" for other, _ in known[1:]) else None


def _ordered(kinds: Iterable[str]) -> list[str]:
    found = set(kinds)
    return [kind for kind in ANSWER_TYPES if kind in found] + sorted(found.difference(ANSWER_TYPES))


def _table(
    name: str,
    notes: tuple[str, ...],
    columns: Sequence[Column],
    rows: Iterable[tuple[Cell, ...] | None],
    *,
    filterable: bool = False,
) -> Table | None:
    """Returns a table of the rows that are there, None if none is."""
    kept = tuple(row for row in rows if row is not None)
    return Table(name, notes, tuple(columns), kept, filterable) if kept else None


class _Builder:
    """Builds one section's tables."""

    def __init__(self, scoring: str, runs: Sequence[RunSummary]) -> None:
        self.runs = runs
        self.rule = scoring_rule(scoring)
        self.scoring = scoring
        self.arms = group_runs(runs)
        self.splits = choose_splits(runs)
        self.comparable = {split: same_questions(runs, split) for split in self.splits.names}

    def note(self) -> str:
        return f"Scoring rule: {self.rule}. Accuracy in %, mean ± standard deviation over seeds."

    def split_note(self) -> str:
        parts = []
        for split in self.splits.names:
            questions = self.most(split, lambda metrics: metrics.questions)
            label = self.splits.label(split)
            name = split if label == split else f"{label} is {split}"
            parts.append(f"{name} ({questions:,} questions)" if questions else name)
        text = "; ".join(parts) + "."
        return text[:1].upper() + text[1:] if text.startswith("in-domain") else text

    def most(self, split: str, pick: Callable[[SplitMetrics], int | None]) -> int | None:
        """Returns a count of a split; the largest, should the runs disagree."""
        counts = [pick(run.metrics[split]) for run in self.runs if split in run.metrics]
        return max((count for count in counts if count is not None), default=None)

    def metrics(self) -> list[SplitMetrics]:
        return [metrics for run in self.runs for metrics in run.metrics.values()]

    def by_arm_and_split(
        self, first: Sequence[Cell], pick: Callable[[Arm, str], Spread | None]
    ) -> tuple[Cell, ...] | None:
        """Returns a row: some first cells, then a score for each arm and split; None if there is no score."""
        arms = range(len(self.arms))
        spreads = {(arm, split): pick(self.arms[arm], split) for arm in arms for split in self.splits.names}
        if all(spread is None for spread in spreads.values()):
            return None
        strong = set()
        for split in self.splits.names:
            best = _clear_best([spreads[arm, split] for arm in arms])
            if best is not None and self.comparable[split]:
                strong.add((best, split))
        return (*first, *(_score(spread, strong=key in strong) for key, spread in spreads.items()))

    def arm_columns(self) -> list[Column]:
        return [
            Column(self.splits.label(split), arm.name, self.splits.sides[split])
            for arm in self.arms
            for split in self.splits.names
        ]

    def count_columns(self, group: str) -> list[Column]:
        return [Column(self.splits.label(split), group, self.splits.sides[split]) for split in self.splits.names]

    def bold_note(self) -> str:
        return (
            "Bold: highest of all arms, with a spread over seeds that overlaps no other arm's; "
            "among many rows some are so by chance."
        )

    def summary(self) -> Table:
        columns = [Column("arm", numeric=False), Column("runs")]
        inside, outside = self.splits.in_domain, self.splits.ood
        baseline = find_baseline(self.arms)
        if outside:
            columns.append(Column("OOD", side="ood"))
        if inside:
            columns.append(Column("in-domain", side="in"))
        if inside and outside:
            columns.append(Column("gap"))
        if baseline and len(self.arms) > 1:
            for split, label, side in ((outside, "OOD", "ood"), (inside, "in-domain", "in")):
                if split:
                    columns.append(Column(label, f"against “{baseline.name}”", side, numeric=False))
        rows = []
        for arm in self.arms:
            cells = [_text(arm.name), _count(len(arm.runs))]
            cells += [_score(arm.overall(split)) for split in (outside, inside) if split]
            if inside and outside:
                cells.append(_score(arm.gap(inside, outside)))
            if baseline and len(self.arms) > 1:
                cells += [self.against(arm, baseline, split) for split in (outside, inside) if split]
            rows.append(tuple(cells))
        rows.sort(key=lambda row: -(row[2].sort or 0.0) if len(row) > 2 else 0.0)
        notes = [self.note(), self.split_note(), "Gap and differences are taken before rounding."]
        if baseline and len(self.arms) > 1:
            notes.append("Spreads apart: neither the deviations nor the seeds themselves overlap.")
        return Table("Arms", tuple(notes), tuple(columns), tuple(rows))

    def against(self, arm: Arm, baseline: Arm, split: str) -> Cell:
        own, base = arm.overall(split), baseline.overall(split)
        if arm is baseline or own is None or base is None:
            return Cell(MISSING, sort=0.0)
        verdict: Comparison = compare(own, base) if self.comparable[split] else "incomparable"
        difference = own.mean - base.mean
        if verdict == "incomparable":
            return Cell(COMPARISON_WORDS[verdict], sort=0.0)
        return Cell(points(difference), COMPARISON_WORDS[verdict], difference, verdict == "above")

    def accuracy(self) -> Table:
        kinds = _ordered(kind for metrics in self.metrics() for kind in metrics.per_answer_type)

        def overall(arm: Arm, split: str) -> Spread | None:
            return arm.overall(split)

        def of(kind: str) -> Callable[[Arm, str], Spread | None]:
            return lambda arm, split: arm.answer_type(split, kind)

        measures = [("overall", overall), *((kind, of(kind)) for kind in kinds)]
        columns = [Column("arm", numeric=False)]
        cells: list[list[Cell]] = [[_text(arm.name)] for arm in self.arms]
        for name, pick in measures:
            for split in self.splits.names:
                columns.append(Column(self.splits.label(split), name, self.splits.sides[split]))
                spreads = [pick(arm, split) for arm in self.arms]
                best = _clear_best(spreads) if self.comparable[split] else None
                for index, spread in enumerate(spreads):
                    cells[index].append(_score(spread, strong=index == best))
        notes = (self.note(), self.split_note(), self.bold_note())
        return Table("Accuracy by answer type", notes, tuple(columns), tuple(tuple(row) for row in cells))

    def counts(self, pick: Callable[[SplitMetrics], int | None]) -> list[int | None]:
        """Returns a count in every split."""
        return [self.most(split, pick) for split in self.splits.names]

    def question_types(self) -> Table | None:
        def row(kind: str) -> tuple[int, tuple[Cell, ...] | None]:
            counts = self.counts(lambda metrics: metrics.counts.per_question_type.get(kind))
            first = [_text(kind), *map(_count, counts)]
            cells = self.by_arm_and_split(first, lambda arm, split: arm.question_type(split, kind))
            return sum(count or 0 for count in counts), cells

        kinds = sorted({kind for metrics in self.metrics() for kind in metrics.per_question_type})
        ordered = sorted((row(kind) for kind in kinds), key=lambda counted: -counted[0])
        columns = [
            Column("question type", numeric=False),
            *self.count_columns("questions"),
            *self.arm_columns(),
        ]
        notes = (self.note(), self.split_note(), self.bold_note())
        return _table("Accuracy by question type", notes, columns, (cells for _, cells in ordered), filterable=True)

    def pairs(self) -> Table | None:
        def row(kind: str) -> tuple[Cell, ...] | None:
            counts = self.counts(lambda metrics: metrics.pair_accuracy.get(kind, PairAccuracy()).pairs or None)
            first = [_text(kind), *map(_count, counts)]
            return self.by_arm_and_split(first, lambda arm, split: arm.pair_accuracy(split, kind))

        kinds = sorted({kind for metrics in self.metrics() for kind in metrics.pair_accuracy})
        columns = [Column("kind of pair", numeric=False), *self.count_columns("pairs"), *self.arm_columns()]
        notes = (
            self.note(),
            "A pair counts when both of its questions are answered fully right.",
            self.bold_note(),
        )
        return _table("Pair accuracy", notes, columns, map(row, kinds))

    def subsets(self) -> Table | None:
        rows: list[tuple[Cell, ...] | None] = []
        for name in sorted({name for metrics in self.metrics() for name in metrics.subsets}):
            rows += self.subset_rows(name)
        columns = [
            Column("subset", numeric=False),
            Column("measure", numeric=False),
            *self.count_columns("questions"),
            *self.arm_columns(),
        ]
        notes = (self.note(), "Scores on named parts of each split.", self.bold_note())
        return _table("Subsets", notes, columns, rows)

    def subset_rows(self, name: str) -> list[tuple[Cell, ...] | None]:
        parts = [metrics.subsets[name] for metrics in self.metrics() if name in metrics.subsets]
        empty = SubsetMetrics()
        counts = [_count(c) for c in self.counts(lambda metrics: metrics.subsets.get(name, empty).questions or None)]
        blank = [Cell("") for _ in counts]

        def row(
            label: str, first: list[Cell], pick: Callable[[SubsetMetrics], float | None]
        ) -> tuple[Cell, ...] | None:
            def spread(arm: Arm, split: str) -> Spread | None:
                return arm.spread(split, lambda metrics: pick(metrics.subsets.get(name, empty)))

            return self.by_arm_and_split([_text(name), _text(label), *first], spread)

        def of_type(kind: str) -> tuple[Cell, ...] | None:
            return row(kind, blank, lambda part: part.per_answer_type.get(kind))

        def of_pairs(kind: str) -> tuple[Cell, ...] | None:
            return row(f"pairs: {kind}", blank, lambda part: part.pair_accuracy.get(kind, PairAccuracy()).accuracy)

        return [
            row("overall", counts, lambda part: part.overall),
            *map(of_type, _ordered(kind for part in parts for kind in part.per_answer_type)),
            *map(of_pairs, sorted({kind for part in parts for kind in part.pair_accuracy})),
        ]

    def run_table(self) -> Table:
        columns = [Column("run", numeric=False), Column("arm", numeric=False), Column("seed")]
        columns += [Column(self.splits.label(split), side=self.splits.sides[split]) for split in self.splits.names]
        columns += [Column("git revision", numeric=False), Column("versions", numeric=False)]
        columns += [Column("finished", numeric=False)]
        rows = []
        for arm in self.arms:
            for run in arm.runs:
                cells = [_text(run.name), _text(arm.name)]
                cells.append(Cell(MISSING, sort=-1.0) if run.seed is None else Cell(str(run.seed), sort=run.seed))
                for split in self.splits.names:
                    value = run.metrics[split].overall if split in run.metrics else None
                    cells.append(_score(None if value is None else Spread((value,))))
                cells.append(_text(revision(run)))
                cells.append(_text(versions(run)))
                cells.append(_text("yes" if run.complete else "not marked"))
                rows.append(tuple(cells))
        notes = (f"Scoring rule: {self.rule}. Accuracy in %, one run a row.", self.split_note())
        return Table("Runs", notes, tuple(columns), tuple(rows))

    def tiles(self, best: Arm | None) -> list[Tile]:
        arm = best or (self.arms[0] if len(self.arms) == 1 else None)
        if arm is None:
            return []
        inside, outside = self.splits.in_domain, self.splits.ood
        found: list[Tile] = []

        def add(label: str, spread: Spread | None, side: str | None = None) -> None:
            if spread is not None:
                std = "" if spread.std is None else f"± {spread.std:.1f}"
                found.append(Tile(label, f"{spread.mean:.1f}", std, side))

        if outside:
            add("OOD", arm.overall(outside), "ood")
        if inside:
            add("in-domain", arm.overall(inside), "in")
        if inside and outside:
            add("gap, points", arm.gap(inside, outside))
        if outside:
            add("OOD, “other” only", arm.answer_type(outside, "other"))
        return found

    def section(self) -> Section:
        head = headline(self.arms, self.splits)
        remark = other_sentence(self.arms, self.splits, head.best)
        return Section(
            scoring=self.scoring,
            rule=self.rule,
            arms=tuple(self.arms),
            splits=self.splits,
            headline=head,
            tiles=tuple(self.tiles(head.best)),
            remarks=(remark,) if remark else (),
            cautions=tuple(cautions(self.arms, self.splits)),
            summary=self.summary(),
            accuracy=self.accuracy(),
            question_types=self.question_types(),
            pairs=self.pairs(),
            subsets=self.subsets(),
            runs=self.run_table(),
            cards=tuple(run_card(run, arm) for arm in self.arms for run in arm.runs),
        )


def build_section(scoring: str, runs: Sequence[RunSummary]) -> Section:
    """Builds what there is to say of runs that were all scored by one rule."""
    return _Builder(scoring, runs).section()


def build_sections(runs: Iterable[RunSummary]) -> list[Section]:
    """Builds a section for each scoring rule: numbers of different rules never stand in one table."""
    return [build_section(scoring, members) for scoring, members in by_scoring(runs).items()]


def question_chart_rows(section: Section, limit: int) -> tuple[list[str], int]:
    """Returns the most frequent question types, and how many there are in all."""
    if section.question_types is None:
        return [], 0
    kinds = [row[0].text for row in section.question_types.rows]
    return kinds[:limit], len(kinds)


def percent_cell(cell: Cell) -> str:
    """Returns a cell as one text."""
    return f"{cell.text} {cell.spread}".strip()
