import math
import statistics

import numpy as np
import pytest
from scipy import stats
from vqa_gs.eval.crossed import Images, Source, crossed, crossed_difference, differences_of, source_of, sources_of
from vqa_gs.eval.statistics import Groups, Interval, bootstrap, image_draws, percentile_interval

T3 = 4.302652729911275  # t(0.975) of three seeds


def whole(count):
    return {"": [""] * count}


def test_one_source_alone_is_the_plain_interval():
    values = [10.0, 11.0, 12.0]
    found = crossed(11.0, sources_of([values]))
    half = T3 / math.sqrt(3)
    assert found.interval == pytest.approx(Interval(11 - half, 11 + half))
    test = stats.ttest_1samp(values, 0)
    assert (found.t, found.p) == pytest.approx((test.statistic, test.pvalue))
    draws = np.random.default_rng(0).normal(3, 1, 1000)
    assert crossed(3.0, [], Images(draws, 200)).interval == percentile_interval(draws)


def test_what_has_no_spread_is_not_known():
    assert crossed(1.0, sources_of([[1.0]])) == (None, None, None)
    assert crossed(1.0, [], Images(np.ones(5), 1)) == (None, None, None)
    same = crossed(1.0, sources_of([[1.0, 1.0]]))
    assert (same.interval, same.p) == (Interval(1.0, 1.0), None)


def test_draws_without_a_rare_group_say_nothing():
    draws = np.r_[np.random.default_rng(0).normal(3, 1, 500), np.full(200, np.nan)]
    assert crossed(3.0, [], Images(draws, 9)).interval == percentile_interval(draws)
    assert crossed(3.0, [Source(1.0, 2)], Images(draws, 9)).interval.low < percentile_interval(draws).low


def test_sources_of_a_table_by_hand():
    # Worlds 2 and 5 in the mean, seeds 2.5, 3.5, 4.5.
    worlds, seeds = sources_of([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert worlds == pytest.approx((statistics.stdev([2, 5]) / math.sqrt(2), 1))
    assert seeds == pytest.approx((1 / math.sqrt(3), 2))
    assert source_of([4.0]) is None
    assert differences_of([3.0, 5.0], [1.0, 3.0], paired=True) == [Source(0.0, 1)]
    assert [source.error for source in differences_of([3.0, 5.0], [1.0, 3.0], paired=False)] == pytest.approx([1, 1])


def test_against_a_slow_transcription():
    """Images drawn one by one, Student's t drawn at random, everything in loops; a million sums."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 40, 150).tolist()
    table = rng.normal(0.2, 0.4, (3, 150)) + rng.normal(0, 0.1, (3, 1))
    groups = Groups(images, whole(150))
    by_image: dict[int, list[int]] = {}
    for row, image in enumerate(images):
        by_image.setdefault(image, []).append(row)
    order = list(dict.fromkeys(images))
    mean, means = table.mean(axis=0), []
    for weights in image_draws(len(order), 1000, 0):
        for column in weights.T:
            total = count = 0.0
            for times, image in zip(column.tolist(), order, strict=True):
                for row in by_image[image]:
                    total += times * mean[row]
                    count += times
            means.append(100 * total / count)
    seeds = [100 * math.fsum(row) / 150 for row in table.tolist()]
    error = statistics.stdev(seeds) / math.sqrt(3)
    drawn = np.array(means)[:, None] + error * np.random.default_rng(9).standard_t(2, (1000, 1000))
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = crossed_difference(groups, list(table), [np.zeros(150)] * 3, paired=True)[("", "")]
    assert found.low == pytest.approx(low, abs=0.03 * (high - low))
    assert found.high == pytest.approx(high, abs=0.03 * (high - low))


def test_the_test_adds_up_variances():
    draws = np.random.default_rng(0).normal(0, 2, 4000)
    found = crossed(3.0, [Source(1.0, 4)], Images(draws, 500))
    variance = draws.var(ddof=1)
    freedom = (1 + variance) ** 2 / (1 / 4 + variance**2 / 499)
    assert found.p == pytest.approx(2 * stats.t.sf(3 / math.sqrt(1 + variance), freedom))
    # The interval is that of Behrens and Fisher, which is a little wider than Satterthwaite's.
    half = (found.interval.high - found.interval.low) / 2
    assert 1 < half / (stats.t.ppf(0.975, freedom) * math.sqrt(1 + variance)) < 1.12


def test_the_difference_of_two_arms():
    groups = Groups(range(400), whole(400))
    a, b = np.ones(400), (np.arange(400) < 200).astype(float)
    assert crossed_difference(groups, [a], [b])[("", "")] == pytest.approx(bootstrap(groups, a - b)[("", "")])
    # Alike in every image, one seed of a is 10 points lower: the seeds alone make the interval.
    alone = crossed_difference(groups, [a, a - 0.1, a], [a, a, a])[("", "")]
    half = T3 * 10 / 3
    assert alone == pytest.approx(Interval(-10 / 3 - half, -10 / 3 + half), rel=0.01)
    # Both arms have that seed: paired, nothing is left of it.
    assert crossed_difference(groups, [a, a - 0.1], [a, a - 0.1], paired=True)[("", "")] == pytest.approx((0, 0))
    one_image = crossed_difference(Groups([1, 1], {"type": ["a", "a"]}), [np.ones(2)], [np.zeros(2)])
    assert one_image == {("type", "a"): None}


def drawn_study(rng, worlds, seeds, images, deviations):
    """Accuracy differences (worlds, seeds, images) around 0: effects of worlds, seeds, images, and of all together."""
    of_world, of_seed, of_image, rest = deviations
    return (
        rng.normal(0, of_world, (worlds, 1, 1))
        + rng.normal(0, of_seed, (worlds, seeds, 1))
        + rng.normal(0, of_image, (worlds, 1, images))
        + rng.normal(0, rest, (worlds, seeds, images))
    )


@pytest.mark.parametrize(
    ("worlds", "seeds", "deviations"),
    [
        (1, 3, (0.0, 0.05, 0.3, 0.3)),
        (1, 5, (0.0, 0.02, 0.6, 0.2)),
        (1, 5, (0.0, 0.2, 0.1, 0.1)),
        (3, 3, (0.2, 0.05, 0.3, 0.3)),
        (5, 3, (0.05, 0.1, 0.5, 0.5)),
    ],
)
def test_intervals_cover_what_they_say(worlds, seeds, deviations):
    """Of made-up studies whose true difference is 0, at least 95 of 100 intervals hold it; tests are about as sure."""
    rng = np.random.default_rng(0)
    images, trials, inside, rejected = 60, 200, 0, 0
    weights = np.concatenate([part.T for part in image_draws(images, 300, 0)]) / images
    for _ in range(trials):
        found = drawn_study(rng, worlds, seeds, images, deviations)
        draws = np.mean([np.roll(weights @ one.mean(axis=0), world) for world, one in enumerate(found)], axis=0)
        whole = crossed(found.mean(), sources_of(found.mean(axis=2)), Images(draws, worlds * images))
        inside += whole.interval.low <= 0 <= whole.interval.high
        rejected += whole.p < 0.05
    assert stats.binomtest(inside, trials, 0.95, alternative="less").pvalue > 0.001
    assert stats.binomtest(rejected, trials, 0.05, alternative="greater").pvalue > 0.001


def test_resampling_few_seeds_would_cover_too_little():
    """Why seeds are not resampled: of three, the percentile interval of the mean holds the truth far too rarely."""
    rng, inside = np.random.default_rng(0), 0
    parts = rng.multinomial(3, [1 / 3] * 3, size=1000) / 3
    for _ in range(300):
        low, high = np.percentile(parts @ rng.normal(0, 1, 3), [2.5, 97.5])
        inside += low <= 0 <= high
    assert inside < 0.85 * 300
