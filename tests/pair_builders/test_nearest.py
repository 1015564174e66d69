import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.pair_builders.nearest.partners import Edges, at_most, nearest_partners, split_groups, unique_edges


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    count=st.integers(1, 12),
    partners=st.integers(1, 5),
    block=st.sampled_from([1, 20, 10**6]),
)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_against_a_plain_loop(metric, data, count, partners, block):
    # Few small whole numbers, so that equal vectors and equal distances are common.
    numbers = st.lists(st.integers(-2, 2), min_size=3, max_size=3)
    vectors = np.array(data.draw(st.lists(numbers, min_size=5, max_size=5)), np.float32)
    images = np.array(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)), np.int64)
    answers = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqa_gs.pair_builders.nearest.partners._BLOCK", block)
        found, distances = nearest_partners(vectors, images, answers, partners, metric)
    for i in range(count):
        candidates = []
        for j in range(count):
            if answers[i] == answers[j] or images[i] == images[j]:
                continue
            x, y = vectors[images[i]].astype(float), vectors[images[j]].astype(float)
            if metric == "euclidean":
                distance = np.sqrt(((x - y) ** 2).mean())
            else:
                norms = np.linalg.norm(x) * np.linalg.norm(y)
                distance = 1 - x @ y / norms if norms else 1.0
            candidates.append((round(abs(distance), 9), j))
        expected = sorted(candidates)[:partners]
        assert [j for j in found[i] if j >= 0] == [j for _, j in expected]
        np.testing.assert_allclose(distances[i, : len(expected)], [d for d, _ in expected], atol=1e-6)
        assert np.isnan(distances[i, len(expected) :]).all()


def test_each_pair_once_nearest_first():
    edges = unique_edges(
        [Edges(np.array([3, 1, 0, 2, 1]), np.array([1, 3, 1, 1, 0]), np.array([0.5, 0.5, 0.9, 0.5, 0.9], np.float32))]
    )
    assert edges.a.tolist() == [1, 1, 0]
    assert edges.b.tolist() == [2, 3, 1]
    assert edges.distance.tolist() == pytest.approx([0.5, 0.5, 0.9])
    assert edges.take(np.array([False, True, True])).b.tolist() == [3, 1]


def test_no_question_has_too_many():
    edges = Edges(np.array([0, 0, 1, 0]), np.array([1, 2, 2, 3]), np.zeros(4, np.float32))
    assert at_most(edges, 4, 1).tolist() == [0]
    assert at_most(edges, 4, 2).tolist() == [0, 1, 2]
    assert at_most(edges, 4, 3).tolist() == [0, 1, 2, 3]


def test_groups_and_their_parts():
    keys = np.repeat([0, 1, 2], [2, 7, 1])
    parts = list(split_groups(keys, 3, np.random.default_rng(0)))
    assert [len(part) for part in parts] == [2, 3, 2, 2, 1]
    assert sorted(np.concatenate(parts).tolist()) == list(range(10))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert list(split_groups(np.zeros(0, np.int64), 3, np.random.default_rng(0))) == []
