"""Runs scored by one rule, and what the sections of a report ask of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec
from vqa_gs.eval.arms import Arm, Spread, group_runs
from vqa_gs.eval.report_content.blocks import Cell, Column, score_cell
from vqa_gs.eval.report_content.examples import ExampleCollector
from vqa_gs.eval.report_content.records import Records
from vqa_gs.eval.report_content.resampling import ArmIntervals, Group
from vqa_gs.eval.report_content.verdicts import Splits, choose_splits, clear_best, find_baseline, same_questions
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION, B, RunSummary, SplitMetrics
from vqa_gs.eval.statistics import LEVEL, REPLICATES, Interval

T = TypeVar("T")

SCORING_WORDS = {
    "official": "as the VQA evaluation script computes it",
    "official-pre2021": "as the VQA evaluation script computed it before 2021",
    "min-n-over-3": "a third for each annotator who agrees, at most 1",
    "exact": "one answer, compared as written",
    "exact-normalized": "one answer, compared after the official processing",
    "one-of": "any of the answers, compared as written",
    "two-way": "the first of yes and no, or of A and B, that is named",
    MEAN_AVERAGE_PRECISION: "average precision of each class that some image shows, their mean",
}
ANSWER_TYPES = ("yes/no", "number", "other")
BOLD_NOTE = "Bold: highest of all arms, clear of every other's spread and interval; in many rows some are so by chance."


def scoring_rule(scoring: str) -> str:
    """Returns the scoring rule in words."""
    known = SCORING_WORDS.get(scoring)
    return f"{scoring} ({known})" if known else scoring


def quantity(scoring: str) -> str:
    """Returns what a rule's scores are."""
    return "Mean average precision" if scoring == MEAN_AVERAGE_PRECISION else "Accuracy"


def examples_word(scoring: str) -> str:
    """Returns what a rule scores."""
    return "images" if scoring == MEAN_AVERAGE_PRECISION else "questions"


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


def ordered_answer_types(kinds: Iterable[str]) -> list[str]:
    """Returns answer types in their usual order, others after them."""
    found = set(kinds)
    return [kind for kind in ANSWER_TYPES if kind in found] + sorted(found.difference(ANSWER_TYPES))


@dataclass(frozen=True)
class Options:
    """What was asked of a report beside its runs.

    Attributes:
        data_dir: where to look for questions and annotations that are not where they were.
        image_dir: where the images of the examples lie.
        examples: how many examples of each split to show at most.
        published: the name of a table of published results to set beside, see `vqa_gs.eval.report.published_results`.
    """

    data_dir: Path | None = None
    image_dir: Path | None = None
    examples: int = 200
    published: str | None = None


def _recorded_interval(arm: Arm, split: str, group: Group) -> Interval | None:
    """Returns the interval in the metrics file of an arm's only run, None if there is none or there are more runs."""
    recorded = [run.metrics[split].intervals for run in arm.runs if split in run.metrics]
    if len(recorded) != 1 or recorded[0] is None:
        return None
    kind, name = group
    by_name = {
        "answer_type": recorded[0].per_answer_type,
        "question_type": recorded[0].per_question_type,
        "subset": recorded[0].subsets,
    }
    return by_name[kind].get(name) if kind in by_name else recorded[0].overall


class Content:
    """Runs scored by one rule with all that was found out about them.

    Args:
        scoring: the rule.
        runs: the runs, with only the scores that follow it.
        options: what was asked of the report.
        records: what stands behind the scores, question by question.
        examples: the examples that were collected on the way, if any.
    """

    def __init__(
        self,
        scoring: str,
        runs: Sequence[RunSummary],
        options: Options | None = None,
        records: Records | None = None,
        examples: ExampleCollector | None = None,
    ) -> None:
        self.scoring = scoring
        self.rule = scoring_rule(scoring)
        self.runs = runs
        self.options = options or Options()
        self.records = records or Records()
        self.examples = examples
        self.arms = group_runs(runs)
        self.splits: Splits = choose_splits(runs)
        self.comparable = {split: same_questions(runs, split) for split in self.splits.names}
        self.baseline = find_baseline(self.arms)

    @cached_property
    def intervals(self) -> dict[str, ArmIntervals]:
        """Intervals by split, of the splits with records."""
        return {split: ArmIntervals(found, self.arms) for split, found in self.records.splits.items()}

    @cached_property
    def has_intervals(self) -> bool:
        """Whether any interval is known."""
        return bool(self.intervals) or any(metrics.intervals for metrics in self.metrics())

    def interval(self, arm: Arm, split: str, group: Group | None) -> Interval | None:
        """Returns the interval of an accuracy over questions, None where it is not known."""
        if group is None:
            return None
        found = self.intervals[split].of(arm, group) if split in self.intervals else None
        return found or _recorded_interval(arm, split, group)

    def difference(self, one: Arm, other: Arm, split: str | None, group: Group | None) -> Interval | None:
        """Returns the interval of a difference in points over the same questions, None where it is not known."""
        if split is None or group is None or split not in self.intervals or not self.comparable[split]:
            return None
        return self.intervals[split].of_difference(one, other, group)

    def note(self) -> str:
        """Returns how to read a score."""
        text = f"Scoring rule: {self.rule}. {quantity(self.scoring)} in %, mean ± standard deviation over seeds."
        if self.has_intervals:
            interval = f"{100 * LEVEL:.0f} % interval over questions"
            text += f" Below, where known: {interval}, images resampled {REPLICATES:,} times."
        return text

    def split_note(self) -> str:
        """Returns what the splits are and how many questions they have."""
        parts = []
        for split in self.splits.first_looks:
            questions = self.most(split, lambda metrics: metrics.questions)
            label = self.splits.label(split)
            name = split if label == split else f"{label} is {split}"
            parts.append(f"{name} ({questions:,} {examples_word(self.scoring)})" if questions else name)
        text = "; ".join(parts) + "."
        return text[:1].upper() + text[1:] if text.startswith("in-domain") else text

    def most(self, split: str, pick: Callable[[SplitMetrics], int | None]) -> int | None:
        """Returns a count of a split; the largest, should the runs disagree."""
        counts = [pick(run.metrics[split]) for run in self.runs if split in run.metrics]
        return max((count for count in counts if count is not None), default=None)

    def counts(self, pick: Callable[[SplitMetrics], int | None]) -> list[int | None]:
        """Returns a count in every split."""
        return [self.most(split, pick) for split in self.splits.names]

    def metrics(self) -> list[SplitMetrics]:
        """Returns all metrics files."""
        return [metrics for run in self.runs for metrics in run.metrics.values()]

    def breakdowns(self, kind: type[B], split: str | None = None) -> list[B]:
        """Returns a breakdown's sections, of one split or of all."""
        chosen = [one for one in self.metrics() if split in (None, one.split)]
        return [found for metrics in chosen if (found := metrics.breakdown(kind)) is not None]

    @staticmethod
    def picking(kind: type[B], value: Callable[[B], T | None]) -> Callable[[SplitMetrics], T | None]:
        """Returns what takes a number out of a breakdown's section in a metrics file, where it has one."""

        def pick(metrics: SplitMetrics) -> T | None:
            found = metrics.breakdown(kind)
            return None if found is None else value(found)

        return pick

    def best(self, spreads: Sequence[Spread | None], split: str, group: Group | None) -> int | None:
        """Returns the index of the arm that is clear above all others on a split, if there is one."""
        if not self.comparable[split]:
            return None
        return clear_best(spreads, lambda one, other: self.difference(self.arms[one], self.arms[other], split, group))

    def score_row(
        self,
        first: Sequence[Cell],
        pick: Callable[[Arm, str], Spread | None],
        group: Group | None = None,
        *,
        bold: bool = True,
    ) -> tuple[Cell, ...] | None:
        """Returns a row: some first cells, then a score for each arm and split; None if there is no score.

        Args:
            first: the first cells.
            pick: takes a score of an arm on a split.
            group: the questions it is over, for its intervals.
            bold: whether the highest is the best, and may be set off.
        """
        columns = {split: [pick(arm, split) for arm in self.arms] for split in self.splits.names}
        if all(spread is None for spreads in columns.values() for spread in spreads):
            return None
        best = {split: self.best(spreads, split, group) if bold else None for split, spreads in columns.items()}
        cells = [
            score_cell(columns[split][index], self.interval(arm, split, group), strong=best[split] == index)
            for index, arm in enumerate(self.arms)
            for split in self.splits.names
        ]
        return (*first, *cells)

    def arm_columns(self) -> list[Column]:
        """Returns the columns of the scores of a row."""
        return [
            Column(self.splits.label(split), arm.name, self.splits.sides[split])
            for arm in self.arms
            for split in self.splits.names
        ]

    def count_columns(self, group: str) -> list[Column]:
        """Returns a column a split, for counts."""
        return [Column(self.splits.label(split), group, self.splits.sides[split]) for split in self.splits.names]
