import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from vqa_gs.eval.statistics import (
    Groups,
    Interval,
    bootstrap,
    holm,
    mcnemar,
    permutation_test,
    wilcoxon_over_seeds,
)

from vqa_gs.common.errors import UsageError


def whole(count):
    return {"": [""] * count}


def test_sums_by_group_and_image():
    groups = Groups([5, 5, "5", 7], {"": [""] * 4, "type": ["b", "a", "a", "b"]})
    assert groups.names == [("", ""), ("type", "a"), ("type", "b")]
    sums = groups.sums(np.array([1.0, 2.0, 4.0, 8.0])).toarray()
    assert sums.tolist() == [[3, 4, 8], [2, 4, 0], [1, 0, 8]]


def test_the_interval_of_independent_questions_is_the_binomial_one():
    scores = (np.arange(2000) < 700).astype(float)
    interval = bootstrap(Groups(range(2000), whole(2000)), scores, 2000)[("", "")]
    half = 100 * 1.96 * np.sqrt(0.35 * 0.65 / 2000)
    assert interval.low == pytest.approx(35 - half, abs=0.25)
    assert interval.high == pytest.approx(35 + half, abs=0.25)


def test_questions_of_one_image_count_as_one_draw():
    # Ten equal questions an image: the interval is that of the images, sqrt(10) times as wide.
    scores = np.repeat((np.arange(200) < 100).astype(float), 10)
    clustered = bootstrap(Groups(np.repeat(np.arange(200), 10).tolist(), whole(2000)), scores)[("", "")]
    alone = bootstrap(Groups(range(2000), whole(2000)), scores)[("", "")]
    ratio = (clustered.high - clustered.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.12)


def test_coverage_of_a_known_mean():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        difficulty = rng.random(80)
        images = np.repeat(np.arange(80), 5)
        scores = (rng.random(400) < difficulty[images]).astype(float)
        interval = bootstrap(Groups(images.tolist(), whole(400)), scores, 300, seed=trial)[("", "")]
        covered += interval.low <= 50 <= interval.high
    assert 180 <= covered <= 199


def test_intervals_are_repeatable_and_take_unsure_groups_out():
    groups = Groups([1, 1, 2, 3], {"type": ["a", "a", "b", "b"]})
    scores = np.array([1.0, 0.0, 1.0, 0.0])
    first = bootstrap(groups, scores, 200, seed=3)
    assert first == bootstrap(groups, scores, 200, seed=3)
    assert first[("type", "a")] is None
    assert first[("type", "b")] == Interval(0.0, 100.0)


def test_refused():
    with pytest.raises(UsageError, match="from 10 resamplings"):
        bootstrap(Groups([1], whole(1)), np.ones(1), 10)
    with pytest.raises(UsageError, match="no questions"):
        bootstrap(Groups([], whole(0)), np.ones(0))
    with pytest.raises(UsageError, match="2 questions, but 1 entries"):
        Groups([1, 2], {"type": ["a"]})


def test_the_permutation_test_against_all_swaps():
    differences = np.array([1.0, 1.0, 0.3, -0.3, 0.6, 1.0, 0.0])
    images = [1, 1, 2, 3, 4, 5, 6]
    sums = np.bincount(images, differences)[1:]
    swaps = [abs(np.dot(signs, sums)) for signs in itertools.product([-1, 1], repeat=len(sums))]
    exact = np.mean(np.array(swaps) >= abs(sums.sum()) - 1e-9)
    p = permutation_test(Groups(images, whole(7)), differences, 20_000)[("", "")]
    assert p == pytest.approx(exact, abs=0.01)


def test_no_difference_has_p_one_and_a_clear_one_the_lowest():
    groups = Groups(range(100), {"type": ["same"] * 50 + ["other"] * 50})
    p = permutation_test(groups, np.r_[np.zeros(50), np.ones(50)], 1000)
    assert p == {("type", "other"): pytest.approx(1 / 1001), ("type", "same"): 1.0}


def test_holm_by_hand():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({}) == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_and_keeps_the_order(values):
    names = [str(at) for at in range(len(values))]
    adjusted = holm(dict(zip(names, values, strict=True)))
    assert all(adjusted[name] >= value for name, value in zip(names, values, strict=True))
    assert all(adjusted[a] <= adjusted[b] for a in names for b in names if values[int(a)] < values[int(b)])
    assert max(adjusted.values()) <= 1


def test_mcnemar_is_the_sign_test_on_the_discordant():
    a = np.array([True] * 8 + [False] * 2 + [True] * 5)
    b = np.array([False] * 8 + [True] * 2 + [True] * 5)
    result = mcnemar(a, b)
    assert (result.only_a, result.only_b) == (8, 2)
    assert result.p == pytest.approx(2 * stats.binom.cdf(2, 10, 0.5))
    assert mcnemar(a, a).p == 1


def test_wilcoxon_over_seeds():
    assert wilcoxon_over_seeds([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]) == pytest.approx(2 / 32)
    assert wilcoxon_over_seeds([1], [0]) is None
    assert wilcoxon_over_seeds([1, 2], [1, 2]) is None
    with pytest.raises(UsageError, match="2 seeds against 1"):
        wilcoxon_over_seeds([1, 2], [1])
