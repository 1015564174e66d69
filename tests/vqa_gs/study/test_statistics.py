import math

import numpy as np
import pytest
from scipy import stats

from vqa_gs.study.statistics import mean_of, paired_difference


def test_worked_by_hand():
    # 50, 52, 57: mean 53, squares 9 + 1 + 16 = 26, variance 13; t(0.975, 2) = 4.302653.
    found = mean_of({1: 50.0, 2: 52.0, 3: 57.0})
    assert found.mean == pytest.approx(53)
    assert found.std == pytest.approx(math.sqrt(13))
    half = 4.302652729911275 * math.sqrt(13 / 3)
    assert found.interval == pytest.approx((53 - half, 53 + half))


def test_paired_by_hand():
    # Differences 2, 4, 3 over the common seeds: mean 3, deviation 1, t = 3 / (1 / sqrt 3) = 5.196.
    found = paired_difference({1: 12.0, 2: 24.0, 3: 33.0, 9: 0.0}, {3: 30.0, 2: 20.0, 1: 10.0}, "control")
    assert (found.seeds, found.against) == (3, "control")
    assert found.mean == pytest.approx(3)
    assert found.std == pytest.approx(1)
    assert found.t == pytest.approx(3 * math.sqrt(3))
    # Two-sided p of Student's t with 2 degrees of freedom, in closed form: 1 - t / sqrt(t^2 + 2).
    assert found.p == pytest.approx(1 - 3 * math.sqrt(3) / math.sqrt(27 + 2))
    half = 4.302652729911275 / math.sqrt(3)
    assert found.interval == pytest.approx((3 - half, 3 + half))


def test_what_cannot_be_known_is_none():
    one = mean_of({4: 40.0})
    assert (one.std, one.interval) == (None, None)
    found = paired_difference({4: 40.0}, {4: 41.0}, "c")
    assert (found.mean, found.std, found.interval, found.p) == (-1.0, None, None, None)
    assert paired_difference({1: 1.0}, {2: 1.0}, "c") is None
    equal = paired_difference({1: 50.1, 2: 60.2}, {1: 49.1, 2: 59.2}, "c")
    assert equal.p is None


def test_intervals_hold_what_they_say():
    rng = np.random.default_rng(0)
    drawn = rng.normal(50, 6, (2000, 5))
    inside = [low <= 50 <= high for row in drawn for low, high in [mean_of(dict(enumerate(row))).interval]]
    assert stats.binomtest(sum(inside), len(inside), 0.95).pvalue > 0.001
