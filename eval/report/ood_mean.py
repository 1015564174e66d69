"""In-domain accuracy beside the mean over OOD tests, arm by arm, for a report's first figure and for cards."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np
from vqa_gs.eval.arms import Arm, Spread
from vqa_gs.eval.breakdowns.subset_means import SubsetMeans
from vqa_gs.eval.crossed import Images, crossed, source_of
from vqa_gs.eval.report_content.blocks import Cell, score_cell
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.marks import Estimate
from vqa_gs.eval.report_content.resampling import OVERALL, Group, subset
from vqa_gs.eval.runs import RunSummary, SplitMetrics
from vqa_gs.eval.statistics import Interval

# Training looks at a split again with other weights, or the prior given back: no tests of their own.
_OTHER_LOOKS = re.compile(r"_(last_epoch|prior_[^_]+)$")


class Figure(msgspec.Struct, frozen=True):
    """One OOD figure: the accuracy on a split, or a mean over subsets of it.

    Attributes:
        split: the split.
        mean: the mean's name, "" for the whole split.
        groups: the questions, for intervals; of a mean one group a subset.
    """

    split: str
    mean: str
    groups: tuple[Group, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.split}, {self.mean}" if self.mean else self.split

    def of(self, metrics: SplitMetrics) -> float | None:
        """Returns its value in percent, None where the metrics have none."""
        if not self.mean:
            return metrics.overall
        section = metrics.breakdown(SubsetMeans)
        found = section.means.get(self.mean) if section else None
        return found.accuracy if found else None


def ood_figures(content: Content) -> list[Figure]:
    """Returns the OOD figures that all arms have, in the order of the splits."""
    found = []
    for split in content.splits.names:
        if _OTHER_LOOKS.search(split):
            continue
        if content.splits.sides[split] == "ood":
            found.append(Figure(split, "", (OVERALL,)))
        for section in content.breakdowns(SubsetMeans, split)[:1]:
            found += [Figure(split, name, tuple(map(subset, one.subsets))) for name, one in section.means.items()]
    return [one for one in found if all(arm.spread(one.split, one.of) for arm in content.arms)]


def in_domain_split(content: Content) -> str | None:
    """Returns the split that stands for the in-domain side: that of which OOD subsets are parts, else the usual one."""
    inside = [split for split in content.splits.names if content.splits.sides[split] == "in"]
    with_means = [split for split in inside if content.breakdowns(SubsetMeans, split)]
    return next(iter(with_means), content.splits.in_domain)


def estimate(content: Content, arm: Arm, figures: Sequence[Figure]) -> Estimate | None:
    """Returns an arm's mean over figures, with its interval over questions and seeds, where these are known.

    Images of different splits are drawn apart from each other, those of subsets of one split together.
    """
    by_run = [_mean([_value(run, one) for one in figures]) for run in arm.runs]
    values = [value for value in by_run if value is not None]
    if not values or not figures:
        return None
    runs = [run for run, value in zip(arm.runs, by_run, strict=True) if value is not None]
    source = source_of(values)
    images = _images(content, runs, figures)
    spread = Spread(tuple(values))
    found = crossed(spread.mean, [source] if source else [], images)
    interval = found.interval
    if interval is None and len(figures) == 1 and len(figures[0].groups) == 1:
        interval = content.interval(arm, figures[0].split, figures[0].groups[0])
    return Estimate(spread, interval)


def estimate_cell(found: Estimate | None) -> Cell:
    """Returns the cell of an estimate."""
    if found is None:
        return score_cell(None)
    return score_cell(found.spread, None if found.interval is None else Interval(*found.interval))


def _value(run: RunSummary, figure: Figure) -> float | None:
    return figure.of(run.metrics[figure.split]) if figure.split in run.metrics else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _images(content: Content, runs: Sequence[RunSummary], figures: Sequence[Figure]) -> Images | None:
    parts = []
    for place, figure in enumerate(figures):
        intervals = content.intervals.get(figure.split)
        drawn = [intervals.images(runs, group) if intervals else None for group in figure.groups]
        known = [one for one in drawn if one is not None]
        if not known or len(known) < len(drawn):
            return None
        draws = np.mean([one.draws for one in known], axis=0)
        # The same numbers draw the images of every split: in another order each, they are apart from each other.
        order = np.random.default_rng(place).permutation(len(draws)) if place else np.arange(len(draws))
        parts.append((draws[order], min(one.size for one in known)))
    return Images(np.mean([draws for draws, _ in parts], axis=0), min(size for _, size in parts))
