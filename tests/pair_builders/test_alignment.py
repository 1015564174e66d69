import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from vqa_gs.pair_builders.alignment.matching import Side, match_batch, pairwise_distances

from vqa_gs.common.errors import DataError


def side(features, boxes=None):
    boxes = None if boxes is None else np.asarray(boxes)[None]
    return Side(np.asarray(features, float)[None], boxes, np.array([len(features)]))


def match_regions(x, y, boxes_x=None, boxes_y=None, box_weight=0.5):
    found = match_batch(side(x, boxes_x), side(y, boxes_y), box_weight)
    return found.rows[found.there]


def regions(seed, count, dim=6):
    generator = np.random.default_rng(seed)
    corners = np.sort(generator.random((count, 2, 2)), axis=1).reshape(count, 4)
    return generator.random((count, dim), np.float32), corners.astype(np.float32)


counts = st.integers(0, 8)


@given(a=counts, b=counts, seed=st.integers(0, 999), boxed=st.booleans())
def test_every_region_has_exactly_one_row(a, b, seed, boxed):
    (x, boxes_x), (y, boxes_y) = regions(seed, a), regions(seed + 1, b)
    rows = match_regions(x, y, *((boxes_x, boxes_y) if boxed else ()))
    assert rows.shape == (max(a, b), 2)
    assert rows.dtype == np.int32
    assert rows[:a, 0].tolist() == list(range(a))
    assert sorted(k for k in rows[:, 0] if k >= 0) == list(range(a))
    assert sorted(k for k in rows[:, 1] if k >= 0) == list(range(b))
    assert not (rows == -1).all(axis=1).any()


@given(a=counts, b=counts, seed=st.integers(0, 999), data=st.data())
def test_order_of_regions_does_not_matter(a, b, seed, data):
    (x, boxes_x), (y, boxes_y) = regions(seed, a), regions(seed + 1, b)
    p = np.array(data.draw(st.permutations(range(a))), int)
    q = np.array(data.draw(st.permutations(range(b))), int)
    rows = match_regions(x, y, boxes_x, boxes_y)
    moved = match_regions(x[p], y[q], boxes_x[p], boxes_y[q])
    back = {(p[k] if k >= 0 else -1, q[m] if m >= 0 else -1) for k, m in moved}
    assert back == {(k, m) for k, m in rows}


@settings(deadline=None)
@given(
    x=hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.floats(-1e6, 1e6, width=32)),
    data=st.data(),
)
def test_a_permuted_copy_is_matched_exactly(x, data):
    order = np.array(data.draw(st.permutations(range(len(x)))), int)
    rows = match_regions(x, x[order])
    np.testing.assert_array_equal(x[rows[:, 0]], x[order][rows[:, 1]])


@settings(deadline=None)
@given(
    x=hnp.arrays(np.float32, (5, 7), elements=st.floats(-1e3, 1e3, width=32)),
    y=hnp.arrays(np.float32, (4, 7), elements=st.floats(-1e3, 1e3, width=32)),
    same=st.integers(0, 3),
)
def test_distances_are_right_and_zero_for_equal_vectors(x, y, same):
    y[same] = x[same]
    distances = pairwise_distances(side(x), side(y))[0]
    np.testing.assert_allclose(distances, cdist(x.astype(float), y.astype(float)), rtol=1e-6, atol=1e-12)
    assert distances[same, same] == 0


def test_the_cost_is_the_least():
    from itertools import permutations

    for seed in range(20):
        (x, _), (y, _) = regions(seed, 4), regions(seed + 100, 5)
        distances = cdist(x, y)
        best = min(sum(distances[k, m] for k, m in enumerate(p)) for p in permutations(range(5), 4))
        rows = match_regions(x, y)[:4]
        assert distances[rows[:, 0], rows[:, 1]].sum() == pytest.approx(best)


def test_scale_of_features_does_not_matter():
    for seed in range(10):
        (x, boxes_x), (y, boxes_y) = regions(seed, 5), regions(seed + 50, 7)
        expected = match_regions(x, y, boxes_x, boxes_y)
        np.testing.assert_array_equal(match_regions(x * 1000, y * 1000, boxes_x, boxes_y), expected)


def test_boxes_decide_between_equal_regions_and_placeholders_do_not():
    same = np.ones((2, 3), np.float32)
    left, right = [0, 0, 0.5, 1], [0.5, 0, 1, 1]
    rows = match_regions(same, same, np.array([left, right]), np.array([right, left]))
    assert rows.tolist() == [[0, 1], [1, 0]]
    for seed in range(20):
        (x, boxes_x), (y, _) = regions(seed, 6), regions(seed + 50, 8)
        whole = np.tile(np.array([[0, 0, 1, 1]], np.float32), (8, 1))
        expected = match_regions(x, y)
        np.testing.assert_array_equal(match_regions(x, y, whole[:6], whole), expected)
        np.testing.assert_array_equal(match_regions(x, y, whole[:6] * 0.7, whole), expected)
        np.testing.assert_array_equal(match_regions(x, y, boxes_x, whole, box_weight=0), expected)


def test_an_appearing_object_is_the_left_over_region():
    (x, _), extra = regions(3, 4), np.full((1, 6), 9, np.float32)
    rows = match_regions(x, np.concatenate([x[:2], extra, x[2:]]))
    assert rows.tolist() == [[0, 0], [1, 1], [2, 3], [3, 4], [-1, 2]]


def test_damaged_features_and_shapes():
    x = np.ones((2, 3), np.float32)
    bad = x.copy()
    bad[1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        match_regions(x, bad)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 999), sizes=st.lists(st.tuples(counts, counts), min_size=1, max_size=6), boxed=st.booleans())
def test_a_batch_is_its_pairs(seed, sizes, boxed):
    """Padding, which may hold anything, changes nothing; lengths are those of the rows' directions."""
    generator = np.random.default_rng(seed)
    wide_a, wide_b = (max(size[end] for size in sizes) + 1 for end in (0, 1))
    ends = []
    for end, wide in ((0, wide_a), (1, wide_b)):
        features = generator.standard_normal((len(sizes), wide, 3))  # no ties
        boxes = generator.random((len(sizes), wide, 4)) if boxed else None
        ends.append(Side(features, boxes, np.array([size[end] for size in sizes])))
    found = match_batch(*ends)
    for pair, (a, b) in enumerate(sizes):
        x, y = ends[0].features[pair, :a], ends[1].features[pair, :b]
        boxes = (ends[0].boxes[pair, :a], ends[1].boxes[pair, :b]) if boxed else ()
        rows = found.rows[pair][found.there[pair]]
        np.testing.assert_array_equal(rows, match_regions(x, y, *boxes))
        for (k, m), length in zip(rows, found.length[pair][found.there[pair]], strict=True):
            here, there = x[k] if k >= 0 else np.zeros(3), y[m] if m >= 0 else np.zeros(3)
            assert length == pytest.approx(np.linalg.norm(here - there), abs=1e-12)


def test_sparse_keeps_what_differs_most():
    x = np.array([[0, 0], [50, 0], [0, 1]], np.float32)
    y = np.array([[0, 0.5], [45, 0]], np.float32)
    found = match_batch(side(x), side(y))
    assert found.rows[found.there].tolist() == [[0, 0], [1, 1], [2, -1]]
    assert found.length[found.there].tolist() == [0.5, 5, 1]
    for most, expected in ((1, [[1, 1]]), (2, [[1, 1], [2, -1]]), (9, [[0, 0], [1, 1], [2, -1]])):
        kept = found.sparse(np.array([most]))
        assert kept.rows[kept.there].tolist() == expected
    equal = match_batch(side(x[:2] * 0), side(y * 0))
    kept = equal.sparse(np.array([1]))
    assert kept.rows[kept.there].tolist() == [[0, 0]]
    assert not equal.differing().there.any()
