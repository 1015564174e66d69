import math

import msgspec
import numpy as np
import pytest
from scipy import stats
from vqa_gs.eval.crossed import Images

from vqa_gs.study.statistics import difference_of, mean_images, mean_of, table_of


def alone(values):
    """Values by seed of a study without worlds."""
    return {None: values}


def test_worked_by_hand():
    # 50, 52, 57: mean 53, squares 9 + 1 + 16 = 26, variance 13; t(0.975, 2) = 4.302653.
    found = mean_of(alone({1: 50.0, 2: 52.0, 3: 57.0}))
    assert found.values == {1: 50.0, 2: 52.0, 3: 57.0}
    assert found.mean == pytest.approx(53)
    assert found.std == pytest.approx(math.sqrt(13))
    half = 4.302652729911275 * math.sqrt(13 / 3)
    assert found.interval == found.seed_interval == pytest.approx((53 - half, 53 + half))
    assert found.over == ["seed"]


def test_paired_by_hand():
    # Differences 2, 4, 3 over the common seeds: mean 3, deviation 1, t = 3 / (1 / sqrt 3) = 5.196.
    arm, control = {1: 12.0, 2: 24.0, 3: 33.0, 9: 0.0}, {3: 30.0, 2: 20.0, 1: 10.0}
    found = difference_of(alone(arm), alone(control), "control")
    assert (found.seeds, found.worlds, found.against) == (3, 1, "control")
    assert found.mean == pytest.approx(3)
    assert found.std == pytest.approx(1)
    assert found.t == pytest.approx(3 * math.sqrt(3))
    # Two-sided p of Student's t with 2 degrees of freedom, in closed form: 1 - t / sqrt(t^2 + 2).
    assert found.p == pytest.approx(1 - 3 * math.sqrt(3) / math.sqrt(27 + 2))
    half = 4.302652729911275 / math.sqrt(3)
    assert found.interval == pytest.approx((3 - half, 3 + half))


def test_what_cannot_be_known_is_none():
    one = mean_of(alone({4: 40.0}))
    assert (one.std, one.interval, one.over) == (None, None, [])
    found = difference_of(alone({4: 40.0}), alone({4: 41.0}), "c")
    assert (found.mean, found.std, found.interval, found.p) == (-1.0, None, None, None)
    assert difference_of(alone({1: 1.0}), alone({2: 1.0}), "c") is None
    assert mean_of(alone({})) is None
    equal = difference_of(alone({1: 50.1, 2: 60.2, 3: 9.0}), alone({1: 49.1, 2: 59.2, 3: 8.0}), "c")
    assert (equal.p, equal.decided) == (None, False)


def test_two_seeds_are_not_tested():
    two = difference_of(alone({1: 50.0, 2: 50.01}), alone({1: 10.0, 2: 10.0}), "c")
    assert (two.p, two.seeds) == (None, 2)
    assert two.interval is not None
    third = {1: 50.0, 2: 50.01, 3: 50.0}
    assert difference_of(alone(third), alone(dict.fromkeys(third, 10.0)), "c").p < 1e-6
    worlds = difference_of({1: {1: 9.0}, 2: {1: 9.0}, 3: {1: 9.1}}, {1: {1: 1.0}, 2: {1: 1.0}, 3: {1: 1.0}}, "c")
    assert (worlds.p < 0.001, worlds.over) == (True, ["world"])


def test_a_verdict_needs_an_interval_without_zero_and_p():
    def images(deviation):
        draws = np.random.default_rng(0).normal(3, deviation, 1000)
        return lambda table: Images(draws, 500)

    arm, control = alone({1: 13.0, 2: 13.1, 3: 12.9}), alone({1: 10.0, 2: 10.0, 3: 10.0})
    assert difference_of(arm, control, "c").p < 0.01
    sure = difference_of(arm, control, "c", images(0.5))
    assert sure.over == ["image", "seed"]
    assert sure.interval[0] > 0
    assert sure.seed_interval == difference_of(arm, control, "c").interval
    unsure = difference_of(arm, control, "c", images(3))
    assert unsure.interval[0] < 0
    assert unsure.p > 0.05
    for difference, p, verdict in ((sure, 0.01, True), (sure, 0.2, False), (unsure, 0.01, False)):
        assert msgspec.structs.replace(difference, p_holm=p).decided == verdict


def test_worlds_by_hand():
    # Worlds 11 and 13, seeds 11, 12, 13 over the worlds.
    found = mean_of({1: {1: 10.0, 2: 11.0, 3: 12.0}, 2: {1: 12.0, 2: 13.0, 3: 14.0}})
    assert found.values == {"1/1": 10.0, "1/2": 11.0, "1/3": 12.0, "2/1": 12.0, "2/2": 13.0, "2/3": 14.0}
    assert found.mean == 12
    assert found.over == ["seed", "world"]
    # Student's t of one degree of freedom, times sqrt(2) / sqrt(2): the worlds alone reach 12.7 either way.
    assert found.interval[1] - 12 > 12.7


def test_only_what_all_worlds_have_is_compared():
    ragged = {1: {1: 1.0, 2: 2.0}, 2: {2: 4.0, 3: 9.0}, 3: {}}
    (table,) = table_of(ragged)
    assert (table.worlds, table.seeds, table.values.tolist()) == ([1, 2], [2], [[2.0], [4.0]])
    assert table_of({1: {1: 1.0}, 2: {2: 1.0}}) is None
    assert table_of({1: {1: 1.0}}, {1: {}}) is None


def test_images_of_worlds_are_drawn_apart():
    draws = np.random.default_rng(0).normal(0, 1, 5000)
    one = Images(draws, 10)
    both = mean_images([one, one])
    assert both.size == 20
    assert both.draws.std() == pytest.approx(1 / math.sqrt(2), rel=0.05)
    assert mean_images([one, None]) is None
    assert mean_images([]) is None


def test_intervals_hold_what_they_say():
    rng = np.random.default_rng(0)
    drawn = rng.normal(50, 6, (2000, 5))
    inside = [low <= 50 <= high for row in drawn for low, high in [mean_of(alone(dict(enumerate(row)))).interval]]
    assert stats.binomtest(sum(inside), len(inside), 0.95).pvalue > 0.001
