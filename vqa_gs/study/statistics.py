"""How certain a mean over seeds is: Student's interval, and the t-test of two arms paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

import msgspec
from scipy import stats

from vqa_gs.eval.statistics import LEVEL


class SeedMean(msgspec.Struct, frozen=True):
    """A quantity over seeds.

    Attributes:
        values: by seed.
        mean: over the seeds.
        std: their standard deviation (ddof=1); None with one seed.
        interval: mean -+ t * std / sqrt(n), the 95 % interval of the mean were the seeds' values normal; None with
            one seed.
    """

    values: dict[int, float]
    mean: float
    std: float | None
    interval: tuple[float, float] | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """By how much an arm differs from its control, over the seeds that both have.

    Attributes:
        against: the control's name.
        seeds: how many both have.
        mean: of the differences, in points.
        std: of the differences (ddof=1); None with one seed.
        interval: 95 % interval of the mean difference over seeds; None with one seed.
        t: the paired t statistic; None with one seed, or where all differences are equal.
        p: of the paired t-test, two-sided.
        p_holm: the same corrected by Holm for the number of `comparisons`.
        comparisons: how many tests were made beside this one and with it.
        question_interval: 95 % interval by resampling images and seeds, where the answers are still at hand.
    """

    against: str
    seeds: int
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    t: float | None
    p: float | None
    p_holm: float | None = None
    comparisons: int = 0
    question_interval: tuple[float, float] | None = None

    @property
    def decided(self) -> bool:
        """Whether the difference is not put down to chance: p below 0.05 after Holm's correction."""
        return self.p_holm is not None and self.p_holm < 0.05


def _interval(mean: float, std: float, count: int) -> tuple[float, float]:
    half = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * std / math.sqrt(count)
    return mean - half, mean + half


def mean_of(values: Mapping[int, float]) -> SeedMean:
    """Returns the mean, deviation and interval of a quantity by seed; there is at least one."""
    numbers = list(values.values())
    mean = statistics.fmean(numbers)
    if len(numbers) < 2:
        return SeedMean(dict(values), mean, None, None)
    std = statistics.stdev(numbers)
    return SeedMean(dict(values), mean, std, _interval(mean, std, len(numbers)))


def paired_difference(arm: Mapping[int, float], control: Mapping[int, float], against: str) -> Difference | None:
    """Returns arm minus control over the seeds both have, None if there is none.

    Paired, because runs of one seed share initial values and the order of the data: what they share cancels.
    """
    seeds = [seed for seed in arm if seed in control]
    if not seeds:
        return None
    found = mean_of({seed: arm[seed] - control[seed] for seed in seeds})
    t = p = None
    # Equal up to rounding: the test's ratio would be that of two rounding errors.
    if found.std is not None and found.std > 1e-9:
        result = stats.ttest_rel([arm[seed] for seed in seeds], [control[seed] for seed in seeds])
        t, p = float(result.statistic), float(result.pvalue)
    return Difference(
        against=against, seeds=len(seeds), mean=found.mean, std=found.std, interval=found.interval, t=t, p=p
    )
