"""Runs in arms: those that share everything but the seed, and the spread of a quantity over them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from vqa_gs.eval.runs import PairAccuracy, RunSummary, SplitMetrics, flatten

_SEED_IN_TEXT = re.compile(r"seed[-_]?\d+")
# Settings that say where and how fast a run went, not what it was.
_NOT_THE_ARM = {
    "name",
    "out",
    "output",
    "output_dir",
    "folder",
    "run_dir",
    "log_dir",
    "resume",
    "device",
    "workers",
    "num_workers",
    "config",
    "log_every",
    "checkpoint_every",
    "scoring",
}


class Spread(msgspec.Struct, frozen=True):
    """One quantity over the seeds of an arm; there is at least one value."""

    values: tuple[float, ...]

    @property
    def count(self) -> int:
        """The number of seeds."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """The standard deviation over the seeds (ddof=1); None with one seed, whose spread is unknown."""
        return statistics.stdev(self.values) if self.count > 1 else None

    @property
    def low(self) -> float:
        """The lower end of the spread: one standard deviation down, or the lowest seed if that lies lower."""
        return min(self.mean - (self.std or 0.0), *self.values)

    @property
    def high(self) -> float:
        """The upper end of the spread: one standard deviation up, or the highest seed if that lies higher."""
        return max(self.mean + (self.std or 0.0), *self.values)


class Arm(msgspec.Struct, frozen=True):
    """Runs that share everything but the seed."""

    name: str
    runs: tuple[RunSummary, ...]

    def spread(self, split: str, pick: Callable[[SplitMetrics], float | None]) -> Spread | None:
        """Returns a quantity over the runs that have it, or None if none has.

        Args:
            split: the split's name.
            pick: takes the quantity out of a run's scores on that split.
        """
        found = [pick(run.metrics[split]) for run in self.runs if split in run.metrics]
        values = tuple(value for value in found if value is not None)
        return Spread(values) if values else None

    def overall(self, split: str) -> Spread | None:
        """Returns the accuracy on all questions of a split."""
        return self.spread(split, lambda metrics: metrics.overall)

    def answer_type(self, split: str, kind: str) -> Spread | None:
        """Returns the accuracy on one answer type of a split."""
        return self.spread(split, lambda metrics: metrics.per_answer_type.get(kind))

    def question_type(self, split: str, kind: str) -> Spread | None:
        """Returns the accuracy on one question type of a split."""
        return self.spread(split, lambda metrics: metrics.per_question_type.get(kind))

    def pair_accuracy(self, split: str, kind: str) -> Spread | None:
        """Returns the share of pairs of one kind with both ends right."""
        return self.spread(split, lambda metrics: metrics.pair_accuracy.get(kind, PairAccuracy()).accuracy)

    def gap(self, in_domain: str, ood: str) -> Spread | None:
        """Returns in-domain minus OOD accuracy, run by run."""
        values = []
        for run in self.runs:
            inside, outside = run.metrics.get(in_domain), run.metrics.get(ood)
            if inside and outside and inside.overall is not None and outside.overall is not None:
                values.append(inside.overall - outside.overall)
        return Spread(tuple(values)) if values else None


def _arm_settings(run: RunSummary) -> dict[str, str]:
    """Returns the settings that make a run what it is, the seed and the places on disk left out."""
    settings = {}
    for key, value in flatten(run.config).items():
        leaf = key.rsplit(".", 1)[-1]
        if leaf in _NOT_THE_ARM or leaf.endswith("seed") or not key:
            continue
        settings[key] = without_seed(str(value))
    return settings


def without_seed(text: str) -> str:
    """Returns a text without the seed in it: a file made once a seed (pairs-seed3.h5) has it in its name."""
    return _SEED_IN_TEXT.sub("seedN", text)


def _tell_apart(name: str, settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns distinct names for arms that share one, made from the settings in which they differ."""
    keys = sorted({key for one in settings for key in one if len({other.get(key) for other in settings}) > 1})
    names = []
    for index, one in enumerate(settings):
        shown = ", ".join(f"{key}={one.get(key, 'unset')}" for key in keys[:3])
        label = f"{name} ({shown})" if shown else f"{name} ({index + 1})"
        names.append(f"{label} ({index + 1})" if label in names else label)
    return names


def group_runs(runs: Iterable[RunSummary]) -> list[Arm]:
    """Groups runs that share everything but the seed, in the order in which their arms first appear.

    Runs of one name whose settings differ are different arms; their names then tell the settings that differ.
    """
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[RunSummary]] = {}
    for run in runs:
        groups.setdefault((run.arm, tuple(sorted(_arm_settings(run).items()))), []).append(run)
    labels: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    for name in dict.fromkeys(key[0] for key in groups):
        same = [key for key in groups if key[0] == name]
        shown = [name] if len(same) == 1 else _tell_apart(name, [dict(key[1]) for key in same])
        labels.update(zip(same, shown, strict=True))
    return [
        Arm(labels[key], tuple(sorted(members, key=lambda run: (run.seed is None, run.seed or 0, run.name))))
        for key, members in groups.items()
    ]
