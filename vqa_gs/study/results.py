"""The numbers of a study: every measure of every arm, over seeds, against its control."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from vqa_gs.eval.breakdown import BREAKDOWNS, study_kinds
from vqa_gs.eval.crossed import Images
from vqa_gs.eval.report.quantities import Quantity, quantities
from vqa_gs.eval.report_content.content import ANSWER_TYPES, Content
from vqa_gs.eval.report_content.resampling import Group
from vqa_gs.eval.report_content.verdicts import same_questions
from vqa_gs.eval.runs import SplitMetrics
from vqa_gs.eval.statistics import ANY_NUMBER, PERCENT, holm
from vqa_gs.study.arms import PlannedArm
from vqa_gs.study.statistics import Difference, SeedMean, Table, difference_of, mean_images, mean_of

Key = tuple[str, str]

_KINDS = ("overall", "answer_type", "question_type", "pair_accuracy")


class Score(msgspec.Struct, frozen=True):
    """One arm on one measure, and its differences to the arms it is tested against."""

    over_seeds: SeedMean
    differences: tuple[Difference, ...] = ()

    @property
    def is_above(self) -> bool:
        """Whether it is above every arm it is tested against, by more than chance."""
        return bool(self.differences) and all(one.decided and one.mean > 0 for one in self.differences)


class Measure(msgspec.Struct, frozen=True):
    """One quantity on one split, of all arms.

    Attributes:
        split: the split.
        scoring: the rule the accuracies follow.
        kind: what it is taken over: ``overall``, ``answer_type``, ``subset`` ..., or a breakdown's.
        name: which answer type, question type, kind of pair or subset; what looks, attention or gradient; "" for all.
        count: questions or pairs, where recorded.
        arms: the arms that have it, by name.
    """

    split: str
    scoring: str
    kind: str
    name: str
    count: int | None
    arms: dict[str, Score]


def measures_of(metrics: SplitMetrics) -> dict[Key, Quantity]:
    """Returns what can be measured on a split, by kind and name.

    Only `overall` is asked of a metrics file; whatever else it holds is found by name.
    """
    found: dict[Key, Quantity] = {}
    for one in sorted(quantities(metrics), key=_place):
        if one.subset:
            parts = {"overall": "", "answer_type": f": {one.name}", "pair_accuracy": f": pairs {one.name}"}
            count = one.count if one.kind == "overall" else None
            found["subset", one.subset + parts[one.kind]] = msgspec.structs.replace(one, count=count)
        else:
            found[one.kind, one.name] = one
    for breakdown in map(BREAKDOWNS.__getitem__, BREAKDOWNS):
        section = metrics.breakdown(breakdown)
        if breakdown.study and section:
            for name, (value, count, _) in sorted(section.measured().items()):
                found[breakdown.study.kind, name] = Quantity(breakdown.study.kind, name, value, count)
    return found


def possible(kind: str) -> tuple[float, float]:
    """Returns the lowest and the highest value that a kind of measure can have."""
    shares = {*_KINDS, "subset", *(one.kind for one in study_kinds() if one.axis.endswith("%"))}
    return PERCENT if kind in shares else ANY_NUMBER


def _place(one: Quantity) -> tuple[str, int, int, str]:
    """Sorts by kind, those of subsets last; answer types stand in their usual order."""
    usual = ANSWER_TYPES.index(one.name) if one.name in ANSWER_TYPES else len(ANSWER_TYPES)
    return one.subset, _KINDS.index(one.kind), usual, one.name


Worlds = Sequence[tuple[int | None, Content]]
"""The runs of a dataset that follow one rule, world by world; one world without a number where a study has none."""


def measure(worlds: Worlds, arms: Sequence[PlannedArm]) -> list[Measure]:
    """Returns all measures of the runs of one dataset that follow one rule.

    p-values are corrected by Holm over all tests of one split and one kind of measure.

    Args:
        worlds: the runs, each arm's under the arm's name.
        arms: the study's arms.
    """
    measures: list[Measure] = []
    for split in dict.fromkeys(split for _, content in worlds for split in content.splits.names):
        found = [
            (world, run, measures_of(run.metrics[split]))
            for world, content in worlds
            for run in content.runs
            if split in run.metrics and run.seed is not None
        ]
        found.sort(key=lambda entry: entry[1].seed or 0)
        comparable = all(same_questions(content.runs, split) for _, content in worlds)
        here: list[Measure] = []
        for key in _keys([one for _, _, one in found]):
            values: dict[str, dict[int | None, dict[int, float]]] = {
                arm.name: {world: {} for world, _ in worlds} for arm in arms
            }
            for world, run, one in found:
                value = one[key].value if key in one else None
                if value is not None and run.seed is not None and run.arm in values:
                    values[run.arm][world][run.seed] = value
            known = [one[key] for _, _, one in found if key in one]
            resampled = _Resampled(worlds, split, known[0].group)
            scores: dict[str, Score] = {}
            for arm in arms:
                mean = mean_of(values[arm.name], partial(resampled.mean, arm.name), possible(key[0]))
                if mean is None:
                    continue
                differences = [
                    difference_of(
                        values[arm.name],
                        values[against],
                        against,
                        partial(resampled.difference, arm.name, against),
                    )
                    for against in (arm.against if comparable else ())
                ]
                scores[arm.name] = Score(mean, tuple(one for one in differences if one is not None))
            if scores:
                count = next((one.count for one in known if one.count), None)
                here.append(Measure(split, worlds[0][1].scoring, *key, count, scores))
        measures += _corrected(here)
    return measures


class _Resampled:
    """Means of arms over resampled images of one split, in each world its own.

    Args:
        worlds: the runs.
        split: the split.
        group: the questions; None where single ones are not known.
    """

    def __init__(self, worlds: Worlds, split: str, group: Group | None) -> None:
        self._worlds, self._split, self._group = dict(worlds), split, group

    def mean(self, arm: str, table: Table) -> Images | None:
        """Returns that of an arm."""
        return mean_images([self._images(world, table.seeds, arm) for world in table.worlds])

    def difference(self, arm: str, other: str, table: Table) -> Images | None:
        """Returns that of an arm's difference to another."""
        found = []
        for world in table.worlds:
            one, control = (self._images(world, table.seeds, name) for name in (arm, other))
            found.append(None if one is None or control is None else Images(one.draws - control.draws, one.size))
        return mean_images(found)

    def _images(self, world: int | None, seeds: Sequence[int], arm: str) -> Images | None:
        content = self._worlds[world]
        if self._group is None or self._split not in content.intervals:
            return None
        runs = [run for run in content.runs if run.arm == arm and run.seed in seeds and self._split in run.metrics]
        return content.intervals[self._split].images(runs, self._group)


def _keys(found: Sequence[dict[Key, Quantity]]) -> list[Key]:
    """Returns what any of some runs has; a kind's names together, in the order in which runs have them."""
    keys = dict.fromkeys(key for one in found for key in one)
    kinds = list(dict.fromkeys(kind for kind, _ in keys))
    return sorted(keys, key=lambda key: kinds.index(key[0]))


def _corrected(measures: Sequence[Measure]) -> list[Measure]:
    """Returns the measures of one split with Holm's correction over each kind.

    Two arms that are tested against each other are one test, whichever of them is written as the other's control.
    """
    tests: dict[str, dict[tuple[str, frozenset[str]], float]] = {}
    for one in measures:
        for arm, score in one.arms.items():
            for difference in score.differences:
                if difference.p is not None:
                    tests.setdefault(one.kind, {})[one.name, frozenset((arm, difference.against))] = difference.p
    adjusted: dict[str, dict[tuple[str, frozenset[str]], float]] = {}
    for kind, p_values in tests.items():
        # `holm` takes names; numbers stand for them.
        numbered = holm({str(number): p for number, p in enumerate(p_values.values())})
        adjusted[kind] = dict(zip(p_values, numbered.values(), strict=True))

    def corrected(one: Measure, arm: str, score: Score) -> Score:
        differences = [
            msgspec.structs.replace(
                difference,
                p_holm=adjusted.get(one.kind, {}).get((one.name, frozenset((arm, difference.against)))),
                comparisons=len(tests.get(one.kind, {})),
            )
            for difference in score.differences
        ]
        return Score(score.over_seeds, tuple(differences))

    return [
        msgspec.structs.replace(one, arms={arm: corrected(one, arm, score) for arm, score in one.arms.items()})
        for one in measures
    ]
