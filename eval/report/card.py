"""A model's card: every test of its suites in a row, in-domain beside OOD, with rule, counts, selection.

It is one page for a paper's appendix: what was tested, how a number is scored, over how many questions and seeds, what
the epoch was chosen on, and what others report on the very same test and how theirs were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
from vqa_gs.eval.arms import Arm, group_runs
from vqa_gs.eval.breakdown import Measured, ordered_breakdowns
from vqa_gs.eval.breakdowns.subset_means import SubsetMeans
from vqa_gs.eval.crossed import Source, crossed, source_of
from vqa_gs.eval.model_selection import selection_warnings
from vqa_gs.eval.report.ood_mean import Figure, estimate, in_domain_split
from vqa_gs.eval.report.part import read_content
from vqa_gs.eval.report.provenance import revision, versions
from vqa_gs.eval.report.published_results import PublishedTable, load_published
from vqa_gs.eval.report.sections.published import SELECTED
from vqa_gs.eval.report_content.content import Content, Options, by_scoring
from vqa_gs.eval.report_content.marks import Estimate
from vqa_gs.eval.report_content.resampling import OVERALL, subset
from vqa_gs.eval.runs import Domain, RunSummary, SplitMetrics, flatten
from vqa_gs.eval.suite_record import RecordedTest, SuiteRecord, read_records

from vqa_gs.common.errors import UsageError

Pick = Callable[[SplitMetrics], Measured | None]


class Side(msgspec.Struct, frozen=True):
    """What stands of an arm in one line: on each side of the shift, None where nothing does."""

    inside: Estimate | None
    outside: Estimate | None


class Line(msgspec.Struct, frozen=True):
    """One line of a card.

    Attributes:
        test: the test's title.
        measure: what is measured on it.
        side: on which side of the shift it is; means over OOD subsets are on the other one than their test.
        count: over how many questions, or groups of them.
        scoring: the rule.
        arms: by arm; ``inside`` of an OOD accuracy is that of its in-domain counterpart under the same rule.
        published: what others report on it, in a few words.
    """

    test: str
    measure: str
    side: Domain | None
    count: int | None
    scoring: str
    arms: dict[str, Side]
    published: str = ""


class Published(msgspec.Struct, frozen=True):
    """Published results on one of the card's tests.

    Attributes:
        test: the test's title.
        table: the results.
        same: whether the test has just as many questions; others must not be compared.
        questions: how many it has here.
    """

    test: str
    table: PublishedTable
    same: bool
    questions: int | None


class Made(msgspec.Struct, frozen=True):
    """How an arm was made and chosen."""

    arm: str
    seeds: str
    selection: str
    made: str


class Card(msgspec.Struct, frozen=True):
    """A card.

    Attributes:
        suites: titles of the suites.
        arms: names of the arms.
        lines: in the suites' order.
        published: what others report.
        made: how each arm was made.
        warnings: what makes numbers no test at all.
        notes: what to beware of, and what was left out.
    """

    suites: tuple[str, ...]
    arms: tuple[str, ...]
    lines: tuple[Line, ...]
    published: tuple[Published, ...]
    made: tuple[Made, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def build_card(runs: Sequence[RunSummary], options: Options | None = None) -> Card:
    """Builds the card of some runs, which differ in arm or seed.

    Args:
        runs: the runs, evaluated on suites; of one that was not, its splits are the tests.
        options: where data lie that were moved; examples are not read.

    Raises:
        UsageError: there is no run.
        DataError: a suite's record is damaged.
    """
    if not runs:
        raise UsageError("a card needs at least one run")
    options = Options(data_dir=options.data_dir if options else None, examples=0)
    records = [record for run in runs for record in read_records(run.folder).values()]
    contents = [read_content(scoring, members, options) for scoring, members in by_scoring(runs).items()]
    arms = group_runs(runs)
    lines: list[Line] = []
    published: dict[str, Published] = {}
    named: set[str] = set()
    for test in _tests(records, runs):
        for split in test.splits:
            content = next((one for one in contents if split in one.splits.names), None)
            if content is None or split in named:
                continue
            named.add(split)
            table = load_published(test.published) if test.published else None
            found = list(_lines(content, test, split, arms, table))
            lines += found
            if table is not None and test.title not in published:
                counts = [line.count for line in found if not line.measure or line.side == "ood"]
                same = table.questions in counts
                published[test.title] = Published(test.title, table, same, found[0].count if found else None)
    left = dict.fromkeys(f"Left out of {record.title}: {reason}." for record in records for reason in record.left_out)
    notes = dict.fromkeys(note for record in records for note in record.notes)
    answers = ["Answers are taken out of free-form texts; raw scores stand beside."] * any(
        record.answers == "free-form" for record in records
    )
    return Card(
        tuple(dict.fromkeys(record.title for record in records)),
        tuple(arm.name for arm in arms),
        tuple(lines),
        tuple(published.values()),
        tuple(map(_made, arms)),
        tuple(selection_warnings(runs)),
        (*answers, *notes, *left),
    )


def _tests(records: Sequence[SuiteRecord], runs: Sequence[RunSummary]) -> list[RecordedTest]:
    """Returns the tests of all suites; before them the in-domain split that training held out, if no suite has it."""
    tests = [test for record in records for test in record.tests]
    known = {split for test in tests for split in test.splits}
    held_out = "iid_val" not in known and any("iid_val" in run.metrics for run in runs)
    if held_out:
        tests.insert(0, RecordedTest("held out of training (iid_val)", "in", ["iid_val"]))
    if not records:
        splits = dict.fromkeys(split for run in runs for split in run.metrics if split != "iid_val")
        sides = {split: metrics.side for run in runs for split, metrics in run.metrics.items()}
        tests += [RecordedTest(split, sides[split] or "ood", [split]) for split in splits]
    return tests


def _lines(
    content: Content, test: RecordedTest, split: str, arms: Sequence[Arm], table: PublishedTable | None
) -> Iterator[Line]:
    own = {arm.name: _own(content, arm) for arm in arms}
    inside = in_domain_split(content)
    counterpart = Figure(inside, "", (OVERALL,)) if inside and test.side == "ood" else None

    def line(
        measure: str,
        side: Domain | None,
        count: int | None,
        of: Callable[[Arm], Estimate | None],
        is_accuracy: bool = True,
    ) -> Line:
        found = {}
        for name, arm in own.items():
            value = of(arm) if arm else None
            if side == "ood":
                beside = counterpart if measure == "" else Figure(split, "", (OVERALL,)) if test.side == "in" else None
                found[name] = Side(estimate(content, arm, [beside]) if arm and beside and value else None, value)
            else:
                found[name] = Side(value, None)
        result = _in_words(table) if table is not None and count == table.questions and is_accuracy else ""
        return Line(test.title, measure, side, count, content.scoring, found, result)

    whole = Figure(split, "", (OVERALL,))
    count = content.most(split, lambda metrics: metrics.questions)
    yield line("", test.side, count, lambda arm: estimate(content, arm, [whole]))
    some = [run.metrics[split] for run in content.runs if split in run.metrics]
    in_means = {one for section in content.breakdowns(SubsetMeans, split) for one in _members(section)}
    for name in dict.fromkeys(name for metrics in some for name in metrics.subsets):
        side: Domain = "ood" if name in in_means else test.side
        number = max(metrics.subsets[name].questions for metrics in some if name in metrics.subsets)
        yield line(name, side, number, partial(_subset, content, split, name))
    for kind in ordered_breakdowns():
        if split != test.splits[0] and kind is not SubsetMeans:
            continue  # a group metric is told once, under the main rule
        shown = [found.on_card() for metrics in some if (found := metrics.breakdown(kind)) is not None]
        for measure in dict.fromkeys(measure for one in shown for measure in one):
            counts = [one[measure].questions for one in shown if measure in one]
            most = max((count for count in counts if count is not None), default=None)
            if kind is SubsetMeans:
                groups = tuple(map(subset, _members(content.breakdowns(SubsetMeans, split)[0], measure)))
                yield line(measure, "ood", most, partial(_figure, content, Figure(split, measure, groups)))
            else:
                yield line(
                    measure, test.side, most, partial(_over_seeds, split, _picking(kind, measure)), is_accuracy=False
                )


def _figure(content: Content, figure: Figure, arm: Arm) -> Estimate | None:
    return estimate(content, arm, [figure])


def _own(content: Content, arm: Arm) -> Arm | None:
    """Returns the arm as the content of one rule has it: with the scores of that rule alone."""
    folders = {run.folder for run in arm.runs}
    kept = tuple(run for run in content.runs if run.folder in folders)
    if not kept:
        return None
    name = next((one.name for one in content.arms if any(run.folder in folders for run in one.runs)), arm.name)
    return Arm(name, kept)


def _members(section: SubsetMeans, mean: str | None = None) -> list[str]:
    return [one for name, found in section.means.items() if mean in (None, name) for one in found.subsets]


def _subset(content: Content, split: str, name: str, arm: Arm) -> Estimate | None:
    spread = arm.spread(split, lambda metrics: metrics.subsets[name].overall if name in metrics.subsets else None)
    if spread is None:
        return None
    intervals = content.intervals.get(split)
    images = intervals.images([run for run in arm.runs if split in run.metrics], subset(name)) if intervals else None
    source = source_of(spread.values)
    found = crossed(spread.mean, [source] if source else [], images).interval
    return Estimate(spread, found or (content.interval(arm, split, subset(name)) if spread.count == 1 else None))


def _picking(kind: type, measure: str) -> Pick:
    def pick(metrics: SplitMetrics) -> Measured | None:
        section = metrics.breakdown(kind)
        return section.on_card().get(measure) if section is not None else None

    return pick


def _over_seeds(split: str, pick: Pick, arm: Arm) -> Estimate | None:
    """Returns an arm's mean of a measure over seeds; the interval is over the images its groups are about, too."""

    def value(metrics: SplitMetrics) -> float | None:
        found = pick(metrics)
        return None if found is None else found.value

    spread = arm.spread(split, value)
    if spread is None:
        return None
    sources = [source for source in [source_of(spread.values)] if source is not None]
    told = [pick(run.metrics[split]) for run in arm.runs if split in run.metrics]
    sampling = [found.sampling for found in told if found is not None]
    if sampling and all(one is not None for one in sampling):
        # Seeds answer the same questions: what images add is no smaller for their mean than for one of them.
        errors, clusters = zip(*(one for one in sampling if one is not None), strict=True)
        sources.append(Source(sum(errors) / len(errors), min(clusters) - 1))
    return Estimate(spread, crossed(spread.mean, sources).interval)


def _in_words(table: PublishedTable) -> str:
    values = sorted(float(row.overall) for row in table.rows)
    clean = sum(row.selected_on in ("validation", "fixed") for row in table.rows)
    return f"{values[0]:.2f} to {values[-1]:.2f} ({len(values)} results, {clean} of them not selected on the test)"


def selected_on(kind: str) -> str:
    """Returns in words what a published result was selected on."""
    return SELECTED[kind]


def _made(arm: Arm) -> Made:
    run = arm.runs[0]
    seeds = ", ".join("–" if one.seed is None else str(one.seed) for one in arm.runs)
    chosen = run.provenance.get("selection")
    files = [value for key, value in flatten(run.config).items() if key == "data.iid_val.questions"]
    on = f"; iid_val: {Path(str(files[0])).name}" if files and files[0] else ""
    said = f"{chosen}{on}" if isinstance(chosen, str) else "not recorded: results of another system"
    made = f"git {revision(run)}; {versions(run)}"
    return Made(arm.name, f"{len(arm.runs)} ({seeds})", said, made)
