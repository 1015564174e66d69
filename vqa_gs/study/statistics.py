"""How certain a mean over seeds is, and the difference of two arms paired by seed; over questions and worlds too."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from vqa_gs.eval.crossed import MEMBERS, Crossed, Images, Source, carrying, crossed, sources_of
from vqa_gs.eval.report_content.verdicts import SEEDS
from vqa_gs.eval.statistics import ANY_NUMBER, Interval
from vqa_gs.study.spec import run_label

Values = Mapping[int | None, Mapping[int, float]]
"""A quantity of an arm by world, None where a study has none, and seed."""


class Table(NamedTuple):
    """A quantity of the seeds that all of some worlds have.

    Attributes:
        worlds: their numbers; None alone where a study has none.
        seeds: theirs.
        values: (worlds, seeds) float64.
    """

    worlds: list[int | None]
    seeds: list[int]
    values: NDArray[np.float64]

    @property
    def by_run(self) -> dict[int | str, float]:
        """The values by what a run goes by."""
        rows = zip(self.worlds, self.values.tolist(), strict=True)
        return {
            run_label(world, seed): value for world, row in rows for seed, value in zip(self.seeds, row, strict=True)
        }

    def sampled(self, images: Images | None, least: int = 2) -> list[str]:
        """Returns what an interval of the mean is over: ``image``, and ``seed`` and ``world`` from ``least`` on."""
        there = {"image": images is not None, "seed": len(self.seeds) >= least, "world": len(self.worlds) >= least}
        return [name for name, known in there.items() if known]


Resampled = Callable[[Table], Images | None]
"""Gives the mean of a table's runs over resampled images, None where that is not known."""


def _unknown(table: Table) -> None:
    """Nothing is known of single questions."""


class SeedMean(msgspec.Struct, frozen=True):
    """A quantity over seeds, and worlds.

    Attributes:
        values: by seed, or by "world/seed".
        mean: over them.
        std: their standard deviation (ddof=1); None with one.
        interval: 95 % interval of the mean over all that ``over`` names, see `vqa_gs.eval.crossed`; None of nothing.
        seed_interval: the same over seeds and worlds alone.
        over: what the interval is over: ``image``, ``seed``, ``world``.
        shown_interval: the same over what an interval can stand on, seeds and worlds from three on; reports show it.
        shown_over: what that is over.
    """

    values: dict[int | str, float]
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    seed_interval: tuple[float, float] | None = None
    over: list[str] = []
    shown_interval: tuple[float, float] | None = None
    shown_over: list[str] = []


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """By how much an arm differs from its control, over the seeds that both have.

    Attributes:
        against: the control's name.
        seeds: how many both have.
        worlds: in how many worlds; 1 where a study has none.
        mean: of the differences, in points.
        std: of the differences (ddof=1); None of one.
        interval: 95 % interval of the mean difference over all that ``over`` names, see `vqa_gs.eval.crossed`.
        seed_interval: the same over seeds and worlds alone.
        over: what the interval is over: ``image``, ``seed``, ``world``.
        shown_interval: the same over what an interval can stand on, seeds and worlds from three on; reports show it.
        shown_over: what that is over.
        t: the mean over its standard error over all these; paired by seed. None with fewer than three seeds and worlds,
            or where all differences are equal.
        p: of that, two-sided.
        p_holm: the same corrected by Holm for the number of `comparisons`.
        comparisons: how many tests were made beside this one and with it.
    """

    against: str
    seeds: int
    worlds: int = 1
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    seed_interval: tuple[float, float] | None = None
    over: list[str] = []
    shown_interval: tuple[float, float] | None = None
    shown_over: list[str] = []
    t: float | None
    p: float | None
    p_holm: float | None = None
    comparisons: int = 0

    @property
    def decided(self) -> bool:
        """Whether the difference is not put down to chance: p below 0.05 after Holm, and an interval without 0."""
        if self.p_holm is None or self.interval is None:
            return False
        return self.p_holm < 0.05 and not self.interval[0] <= 0 <= self.interval[1]


def table_of(*values: Values) -> list[Table] | None:
    """Returns the same worlds and seeds of some arms, None where they have none in common.

    A world whose runs are still to do is left out, and a seed that not all others have.
    """
    worlds = [world for world in values[0] if all(one.get(world) for one in values)]
    everywhere = [one[world] for one in values for world in worlds]
    seeds = [seed for seed in (everywhere[0] if worlds else ()) if all(seed in part for part in everywhere)]
    if not seeds:
        return None
    return [
        Table(worlds, seeds, np.array([[one[world][seed] for seed in seeds] for world in worlds])) for one in values
    ]


def _shown(mean: float, sources: Sequence[Source], images: Images | None, whole: Crossed) -> Interval | None:
    """Returns the interval over what an interval can stand on."""
    carried = carrying(sources)
    return whole.interval if len(carried) == len(sources) else crossed(mean, carried, images).interval


def mean_of(
    values: Values, resampled: Resampled = _unknown, possible: tuple[float, float] = ANY_NUMBER
) -> SeedMean | None:
    """Returns the mean, deviation and intervals of a quantity; None where no seed is in all worlds.

    Args:
        values: the quantity.
        resampled: gives its mean over resampled images.
        possible: the lowest and highest value that it can have; what is shown ends there.
    """
    tables = table_of(values)
    if tables is None:
        return None
    (table,) = tables
    mean, sources, images = float(table.values.mean()), sources_of(table.values), resampled(table)
    whole = crossed(mean, sources, images)
    shown = _shown(mean, sources, images, whole)
    return SeedMean(
        table.by_run,
        mean,
        _deviation(table),
        whole.interval,
        crossed(mean, sources).interval,
        table.sampled(images),
        shown and (max(shown[0], possible[0]), min(shown[1], possible[1])),
        table.sampled(images, MEMBERS),
    )


def difference_of(arm: Values, control: Values, against: str, resampled: Resampled = _unknown) -> Difference | None:
    """Returns arm minus control over the seeds both have, None if there is none.

    Paired, because runs of one seed share initial values and the order of the data: what they share cancels.
    """
    tables = table_of(arm, control)
    if tables is None:
        return None
    one, other = tables
    table = one._replace(values=one.values - other.values)
    mean, sources, images = float(table.values.mean()), sources_of(table.values), resampled(table)
    whole = crossed(mean, sources, images)
    tested = max(len(table.seeds), len(table.worlds)) >= SEEDS
    return Difference(
        against=against,
        seeds=len(table.seeds),
        worlds=len(table.worlds),
        mean=mean,
        std=_deviation(table),
        interval=whole.interval,
        seed_interval=crossed(mean, sources).interval,
        over=table.sampled(images),
        shown_interval=_shown(mean, sources, images, whole),
        shown_over=table.sampled(images, MEMBERS),
        t=whole.t if tested else None,
        p=whole.p if tested else None,
    )


def _deviation(table: Table) -> float | None:
    return statistics.stdev(table.values.ravel().tolist()) if table.values.size > 1 else None


def mean_images(found: Sequence[Images | None]) -> Images | None:
    """Returns the mean over the worlds' resampled images, None unless all are known.

    Worlds have images of their own: a draw of one goes with another draw of the next.
    """
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    draws = np.mean([np.roll(one.draws, world) for world, one in enumerate(known)], axis=0)
    return Images(draws, sum(one.size for one in known))
