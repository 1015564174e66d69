"""The search for the nearest images, of few, of many, and of more than memory holds."""

import errno
import os

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from vqa_gs.pair_builders.nearest import images
from vqa_gs.pair_builders.nearest.images import room, standardised
from vqa_gs.pair_builders.nearest.search import nearest_images

from vqa_gs.common.errors import DataError


def spectrum(count, dim=300, seed=0):
    generator = np.random.default_rng(seed)
    inner = np.repeat(generator.standard_normal((count // 3 + 1, 40)), 3, axis=0)[:count]
    inner += 0.3 * generator.standard_normal((count, 40))
    return (inner @ generator.standard_normal((40, dim))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_exact_neighbours(metric):
    vectors = spectrum(300)
    found, distance = nearest_images(vectors, 5, metric)
    expected = cdist(vectors, vectors, metric)
    if metric == "euclidean":
        expected /= np.sqrt(vectors.shape[1])
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_array_equal(found, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :5], rtol=1e-3, atol=1e-5)


def test_few_images():
    assert nearest_images(np.zeros((0, 3), np.float32), 2)[0].shape == (0, 2)
    found, distance = nearest_images(np.array([[1.0, 0], [0, 1.0]], np.float32), 3)
    assert found.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert np.isnan(distance[:, 1:]).all()


@pytest.fixture
def many(monkeypatch):
    """Makes a thousand images many."""
    monkeypatch.setattr("vqa_gs.pair_builders.nearest.search._EXACT", 500)
    return monkeypatch


def test_approximate_search_finds_what_the_exact_one_does_and_repeats(many):
    vectors = spectrum(3000)
    found, distance = nearest_images(vectors, 5)
    exact, expected = nearest_images(vectors, 5, exact=True)
    same = np.mean([len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]) / 5
    assert same >= 0.98
    np.testing.assert_allclose(distance[found == exact], expected[found == exact], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found, nearest_images(vectors, 5)[0])


def planted(count, dim=60):
    """Images of which each two are nearly one, the others far from them."""
    generator = np.random.default_rng(0)
    scenes = np.repeat(generator.standard_normal((count // 2, dim)), 2, axis=0)
    return (scenes + 0.05 * generator.standard_normal((count, dim))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_many_images_find_what_was_planted_and_repeat(many, metric):
    vectors = planted(4000)
    found, distance = nearest_images(vectors, 3, metric)
    partner = np.arange(4000) ^ 1
    assert np.mean(found[:, 0] == partner) >= 0.98
    right = found[:, 0] == partner
    expected = {
        "cosine": 1
        - np.einsum("nd,nd->n", *(v / np.linalg.norm(v, axis=1)[:, None] for v in (vectors, vectors[partner]))),
        "euclidean": np.sqrt(((vectors - vectors[partner]) ** 2).mean(axis=1)),
    }[metric]
    np.testing.assert_allclose(distance[right, 0], expected[right], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(found, nearest_images(vectors, 3, metric)[0])


def test_bytes_bear_a_constant_number_and_one_far_from_all(many):
    vectors = planted(4000)
    vectors[:, 0], vectors[1234, 1] = 0, 100
    found, distance = nearest_images(vectors, 3)
    assert np.mean(found[:, 0] == np.arange(4000) ^ 1) >= 0.98
    assert np.isfinite(distance).all()


def mapped(monkeypatch, vectors):
    """Returns the vectors in a mapped file."""
    monkeypatch.setattr(images, "_IN_MEMORY", 0)
    there = room(*vectors.shape)
    assert isinstance(there, np.memmap)
    there[...] = vectors
    return there


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dim", [60, 600])  # as they are, and reduced
def test_a_mapped_file_holds_what_memory_does(many, metric, dim):
    vectors = planted(2500, dim)
    here = standardised(vectors.copy())
    there = standardised(mapped(many, vectors))
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-5)
    found, distance = nearest_images(here, 3, metric)
    found_there, distance_there = nearest_images(there, 3, metric)
    assert np.mean(found == found_there) > 0.99
    same = found == found_there
    np.testing.assert_allclose(distance_there[same], distance[same], rtol=1e-2, atol=1e-4)


def test_few_images_in_a_mapped_file(monkeypatch):
    vectors = planted(400)
    expected = nearest_images(vectors, 4)[0]
    np.testing.assert_array_equal(nearest_images(mapped(monkeypatch, vectors), 4)[0], expected)


def test_a_mapped_file_has_no_name(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    there = mapped(monkeypatch, planted(20))
    assert os.listdir(tmp_path) == []
    np.testing.assert_array_equal(there, planted(20))


def test_no_room_for_a_mapped_file(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match="no room for the mean regions of 20 images.*TMPDIR"):
        mapped(monkeypatch, planted(20))
