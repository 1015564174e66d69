"""The numbers of a study: every measure of every arm, over seeds, against its control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from vqa_gs.eval.report.content import Content, Options, ordered_answer_types
from vqa_gs.eval.report.part import read_content
from vqa_gs.eval.report.resampling import OVERALL, Group, answer_type, question_type, subset
from vqa_gs.eval.report.verdicts import same_questions
from vqa_gs.eval.runs import PairAccuracy, RunSummary, SplitMetrics, SubsetMetrics
from vqa_gs.eval.statistics import holm
from vqa_gs.study.arms import Arm
from vqa_gs.study.statistics import Difference, Mean, mean_of, paired_difference

Kind = Literal["overall", "answer_type", "question_type", "pair_accuracy", "subset", "looks", "prior"]
Pick = Callable[[SplitMetrics], float | None]


class Score(msgspec.Struct, frozen=True):
    """One arm on one measure, and its differences to the arms it is tested against."""

    over_seeds: Mean
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
        kind: what it is taken over.
        name: which answer type, question type, kind of pair or subset; what looks, attention or gradient; "" for all.
        count: questions or pairs, where recorded.
        arms: the arms that have it, by name.
    """

    split: str
    scoring: str
    kind: Kind
    name: str
    count: int | None
    arms: dict[str, Score]


def _subset_pick(name: str, of: Callable[[SubsetMetrics], float | None]) -> Pick:
    return lambda metrics: of(metrics.subsets[name]) if name in metrics.subsets else None


def _type_pick(field: str, name: str) -> Pick:
    return lambda metrics: getattr(metrics, field).get(name)


def _pair_pick(name: str) -> Pick:
    return lambda metrics: metrics.pair_accuracy.get(name, PairAccuracy()).accuracy


def _looks_pick(name: str) -> Pick:
    return lambda metrics: _looks(metrics).get(name)


def _looks(metrics: SplitMetrics) -> dict[str, Any]:
    """Returns the shares on the regions that matter over all questions; none where they are not known."""
    return ((metrics.breakdowns.get("grounding") or {}).get("regions") or {}).get("all") or {}


def _priors(metrics: SplitMetrics) -> dict[str, dict[str, Any]]:
    """Returns the sections on priors by question type, "" for all questions; none where training is not known."""
    found = metrics.breakdowns.get("prior")
    return {"": found["overall"], **found["per_question_type"]} if found else {}


def _prior_pick(name: str) -> Pick:
    def pick(metrics: SplitMetrics) -> float | None:
        section = _priors(metrics).get(name)
        return None if section is None else float(section["predicted_prior"] - section["true_prior"])

    return pick


def quantities(found: Sequence[SplitMetrics]) -> Iterator[tuple[Kind, str, Group | None, Pick]]:
    """Yields what can be measured on a split: kind, name, the group of eval's intervals, how to take it out.

    Only `overall` is asked of a metrics file; whatever else it holds is found by name.
    """
    yield "overall", "", OVERALL, lambda metrics: metrics.overall
    for name in ordered_answer_types(name for metrics in found for name in metrics.per_answer_type):
        yield "answer_type", name, answer_type(name), _type_pick("per_answer_type", name)
    for name in sorted({name for metrics in found for name in metrics.per_question_type}):
        yield "question_type", name, question_type(name), _type_pick("per_question_type", name)
    for name in sorted({name for metrics in found for name in metrics.pair_accuracy}):
        yield "pair_accuracy", name, None, _pair_pick(name)
    for name in sorted({name for metrics in found for name in metrics.subsets}):
        parts = [metrics.subsets[name] for metrics in found if name in metrics.subsets]
        yield "subset", name, subset(name), _subset_pick(name, lambda part: part.overall)
        for kind in ordered_answer_types(kind for part in parts for kind in part.per_answer_type):
            yield "subset", f"{name}: {kind}", None, _subset_pick(name, _of_type(kind))
        for kind in sorted({kind for part in parts for kind in part.pair_accuracy}):
            yield "subset", f"{name}: pairs {kind}", None, _subset_pick(name, _of_pairs(kind))

    for name in sorted(
        {name for metrics in found for name in ("attention", "gradient", "chance") if name in _looks(metrics)}
    ):
        yield "looks", name, None, _looks_pick(name)
    for name in sorted({name for metrics in found for name in _priors(metrics)}):
        yield "prior", name, None, _prior_pick(name)


def _of_type(kind: str) -> Callable[[SubsetMetrics], float | None]:
    return lambda part: part.per_answer_type.get(kind)


def _of_pairs(kind: str) -> Callable[[SubsetMetrics], float | None]:
    return lambda part: part.pair_accuracy.get(kind, PairAccuracy()).accuracy


def _count(found: Sequence[SplitMetrics], kind: Kind, name: str) -> int | None:
    for metrics in found:
        if kind == "overall":
            count: int | None = metrics.questions or None
        elif kind in ("answer_type", "question_type"):
            count = getattr(metrics.counts, f"per_{kind}").get(name)
        elif kind == "looks":
            count = _looks(metrics).get("questions")
        elif kind == "prior":
            count = _priors(metrics).get(name, {}).get("questions")
        elif kind == "pair_accuracy":
            count = metrics.pair_accuracy[name].pairs if name in metrics.pair_accuracy else None
        else:
            count = metrics.subsets[name].questions if name in metrics.subsets else None
        if count:
            return count
    return None


def read_results(scoring: str, runs: Sequence[RunSummary]) -> Content:
    """Reads what stands behind the scores of runs under one rule, question by question where it is at hand."""
    return read_content(scoring, runs, Options(examples=0))


def measure(content: Content, arms: Sequence[Arm]) -> list[Measure]:
    """Returns all measures of the runs of one dataset that follow one rule.

    p-values are corrected by Holm over all tests of one split and one kind of measure.

    Args:
        content: the runs, each arm's under the arm's name.
        arms: the study's arms.
    """
    measures: list[Measure] = []
    of_arm = {arm.name: [run for run in content.runs if run.arm == arm.name] for arm in arms}
    found_arms = {arm.name: arm for arm in content.arms}
    for split in content.splits.names:
        found = [run.metrics[split] for run in content.runs if split in run.metrics]
        comparable = same_questions(content.runs, split)
        here: list[Measure] = []
        for kind, name, group, pick in quantities(found):
            values = {arm: _values(runs, split, pick) for arm, runs in of_arm.items()}
            scores: dict[str, Score] = {}
            for arm in arms:
                if not values[arm.name]:
                    continue
                differences = []
                for against in arm.against if comparable else ():
                    difference = paired_difference(values[arm.name], values[against], against)
                    if difference is not None:
                        both = content.difference(found_arms[arm.name], found_arms[against], split, group)
                        resampled = None if both is None else (both.low, both.high)
                        differences.append(msgspec.structs.replace(difference, question_interval=resampled))
                scores[arm.name] = Score(mean_of(values[arm.name]), tuple(differences))
            if scores:
                here.append(Measure(split, content.scoring, kind, name, _count(found, kind, name), scores))
        measures += _corrected(here)
    return measures


def _values(runs: Sequence[RunSummary], split: str, pick: Pick) -> dict[int, float]:
    found = {run.seed: pick(run.metrics[split]) for run in runs if run.seed is not None and split in run.metrics}
    return {seed: value for seed, value in sorted(found.items()) if value is not None}


def _corrected(measures: Sequence[Measure]) -> list[Measure]:
    """Returns the measures of one split with Holm's correction over each kind."""
    tests: dict[str, dict[tuple[str, str, str], float]] = {}
    for one in measures:
        for arm, score in one.arms.items():
            for difference in score.differences:
                if difference.p is not None:
                    tests.setdefault(one.kind, {})[one.name, arm, difference.against] = difference.p
    adjusted: dict[str, dict[tuple[str, str, str], float]] = {}
    for kind, p_values in tests.items():
        # `holm` takes names; numbers stand for them.
        numbered = holm({str(number): p for number, p in enumerate(p_values.values())})
        adjusted[kind] = dict(zip(p_values, numbered.values(), strict=True))

    def corrected(one: Measure, arm: str, score: Score) -> Score:
        differences = [
            msgspec.structs.replace(
                difference,
                p_holm=adjusted.get(one.kind, {}).get((one.name, arm, difference.against)),
                comparisons=len(tests.get(one.kind, {})),
            )
            for difference in score.differences
        ]
        return Score(score.over_seeds, tuple(differences))

    return [
        msgspec.structs.replace(one, arms={arm: corrected(one, arm, score) for arm, score in one.arms.items()})
        for one in measures
    ]
