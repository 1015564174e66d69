"""Intervals and tests where questions, seeds and worlds are all samples: what others of each would change.

Images are resampled: there are many of them, and accuracies of questions are anything but normal. Seeds and worlds are
few: resampling three of them makes intervals that cover far less than they say, so each enters as in Student's
interval. The sources are added up: ::

    mean over resampled images  +  t(seeds - 1) s_seeds / sqrt(seeds)  +  t(worlds - 1) s_worlds / sqrt(worlds)

where s is the deviation of the means of each seed, or world, over everything else. With one source the interval is the
plain one, by images or Student's; with many seeds it is that of the crossed bootstrap (Owen, *The pigeonhole
bootstrap*, Annals of Applied Statistics 2007). As there, what images and seeds do together is counted in both, so that
intervals are rather too wide than too narrow. The test adds up the same variances (Satterthwaite, Biometrics Bulletin
1946); where sources are few it is somewhat bolder than the interval, so that a verdict asks for both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.statistics import LEVEL, REPLICATES, Floats, Groups, Interval, percentile_interval, resampled

# Draws of a sum of sources: each of the resampled means comes up equally often.
_SUMS = 10_000
# Fewer members of a sample carry no interval to look at, and no verdict.
MEMBERS = 3
# Equal up to rounding: a ratio of two rounding errors tests nothing.
_ROUNDING = 1e-9


class Source(NamedTuple):
    """What one sample adds to the uncertainty of a mean.

    Attributes:
        error: the standard error, in the mean's unit.
        freedom: its degrees of freedom.
    """

    error: float
    freedom: int


class Images(NamedTuple):
    """The mean over resampled images.

    Attributes:
        draws: (replicates,) in the mean's unit, NaN where a draw says nothing.
        size: how many images there are.
    """

    draws: Floats
    size: int


class Crossed(NamedTuple):
    """What is known of a mean.

    Attributes:
        interval: None where no source has a spread.
        t: the mean over its standard error, None likewise, or where that is 0.
        p: two-sided, of the mean being 0.
    """

    interval: Interval | None
    t: float | None
    p: float | None


def source_of(means: Sequence[float]) -> Source | None:
    """Returns what a sample adds to the mean of its means, None of fewer than two."""
    count = len(means)
    return Source(statistics.stdev(means) / math.sqrt(count), count - 1) if count > 1 else None


def sources_of(table: npt.ArrayLike) -> list[Source]:
    """Returns what worlds and seeds add to the mean of a table.

    Args:
        table: (worlds, seeds) float64.
    """
    values = np.asarray(table, np.float64)
    found = (source_of(values.mean(axis).tolist()) for axis in (1, 0))
    return [source for source in found if source is not None]


def carrying(sources: Iterable[Source]) -> list[Source]:
    """Returns the sources that an interval can stand on: Student's of two members is 13 errors wide to either side.

    Such an interval is right and says nothing; what is shown instead is over the other sources, and says so.
    """
    return [source for source in sources if source.freedom >= MEMBERS - 1]


@lru_cache(maxsize=64)
def _student(freedom: int, place: int, size: int) -> Floats:
    """Returns Student's t at evenly spread probabilities, in an order of its own for each place in a sum."""
    from scipy.special import stdtrit

    even = (np.arange(size) + 0.5) / size
    return np.random.default_rng([place, size]).permutation(stdtrit(freedom, even))


def crossed(mean: float, sources: Iterable[Source], images: Images | None = None, level: float = LEVEL) -> Crossed:
    """Returns interval and test of a mean.

    Args:
        mean: as measured.
        sources: what seeds, or worlds, add.
        images: the mean over resampled images; None where that is not known.
        level: the probability inside.
    """
    from scipy.special import stdtr

    known = list(sources)
    spread = [(source.error**2, source.freedom) for source in known]
    if images is not None:
        draws = images.draws[~np.isnan(images.draws)].astype(np.float64)
        images = Images(draws, images.size) if images.size > 1 and len(draws) > 1 else None
    if images is not None:
        spread.append((float(images.draws.var(ddof=1)), images.size - 1))
    variance = sum(one for one, _ in spread)
    t = p = None
    if variance > _ROUNDING**2:
        t = mean / math.sqrt(variance)
        freedom = variance**2 / sum(one**2 / degrees for one, degrees in spread)
        p = 2 * float(stdtr(freedom, -abs(t)))
    return Crossed(_interval(mean, known, images, level), t, p)


def _interval(mean: float, sources: Sequence[Source], images: Images | None, level: float) -> Interval | None:
    from scipy.special import stdtrit

    if images is None and len(sources) < 2:
        half = sources[0].error * float(stdtrit(sources[0].freedom, 0.5 + level / 2)) if sources else 0.0
        return Interval(mean - half, mean + half) if sources else None
    if not sources:
        assert images is not None
        return percentile_interval(images.draws, level)
    sums = np.full(_SUMS, mean) if images is None else np.resize(images.draws, _SUMS)
    for place, source in enumerate(sources):
        sums = sums + source.error * _student(source.freedom, place, _SUMS)
    return percentile_interval(sums, level)


def differences_of(a: Sequence[float], b: Sequence[float], paired: bool) -> list[Source]:
    """Returns what seeds add to the mean of a minus that of b: together where paired, else each its own."""
    if paired:
        one = source_of([first - second for first, second in zip(a, b, strict=True)])
        return [one] if one else []
    return [source for source in map(source_of, (a, b)) if source]


def crossed_difference(
    groups: Groups,
    of_a: Sequence[Floats],
    of_b: Sequence[Floats],
    replicates: int = REPLICATES,
    seed: int = 0,
    *,
    paired: bool = False,
    level: float = LEVEL,
) -> dict[tuple[str, str], Interval | None]:
    """Returns the interval of a's mean minus b's, in points, over images and seeds.

    Args:
        groups: the n questions.
        of_a: accuracies (n,) of each seed of a.
        of_b: of each seed of b.
        replicates: how many resamplings of images.
        seed: of the drawing.
        paired: whether the seeds of both are the same, in the same order: what they share then cancels.
        level: the probability inside.

    Returns:
        By (kind, name); None for a group that lies in a single image, whose spread cannot be known.

    Raises:
        UsageError: there are no questions, or fewer than 100 replicates.
    """
    draws, spread = resampled(groups, np.mean(of_a, axis=0) - np.mean(of_b, axis=0), replicates, seed)
    counts = groups.sums(np.ones(len(groups.image))).sum(axis=1)
    means = [[100 * groups.sums(values).sum(axis=1) / counts for values in arm] for arm in (of_a, of_b)]
    found: dict[tuple[str, str], Interval | None] = {}
    for at, name in enumerate(groups.names):
        a, b = ([float(run[at]) for run in arm] for arm in means)
        mean = statistics.fmean(a) - statistics.fmean(b)
        images = Images(draws[at], int(spread[at]))
        whole = crossed(mean, differences_of(a, b, paired), images, level)
        found[name] = whole.interval if images.size > 1 else None
    return found
