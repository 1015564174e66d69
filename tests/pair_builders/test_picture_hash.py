import numpy as np
import pytest
from PIL import Image, ImageEnhance
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.nearest.images import distances
from vqa_gs.pair_builders.nearest.pictures import hash_pictures, nearest_hashes, picture_hash
from vqa_gs.pair_builders.nearest.search import nearest_images
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError

builder = BUILDERS["near-duplicate"]


def scene(seed, size=(320, 240)):
    """A smooth picture."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def differing(one, other):
    return int(np.unpackbits(picture_hash(one) ^ picture_hash(other)).sum())


def test_a_picture_keeps_its_hash(tmp_path):
    picture = scene(0)
    picture.save(tmp_path / "small.jpg", quality=40)
    with Image.open(tmp_path / "small.jpg") as compressed:
        assert differing(picture, compressed) <= 4
    assert differing(picture, picture.resize((150, 110))) <= 4
    assert differing(picture, ImageEnhance.Brightness(picture).enhance(0.8)) <= 4
    assert min(differing(picture, scene(seed)) for seed in range(1, 30)) > 10


def test_neighbours_are_those_of_a_comparison_bit_by_bit():
    hashes = np.random.default_rng(0).integers(0, 256, (200, 8), np.uint8)
    hashes[100:] = hashes[:100]
    hashes[100:, 3] ^= 1
    hashes[150:, 5] ^= 7
    bits = np.unpackbits(hashes, axis=1).astype(np.int64)
    expected = {(a, b) for a in range(200) for b in range(200) if a != b and np.abs(bits[a] - bits[b]).sum() <= 4}
    a, b = nearest_hashes(hashes, 16, 4)
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == expected
    assert len(expected) == 200
    assert len(nearest_hashes(hashes, 16, 0)[0]) == 0


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_distances_are_those_of_the_search(metric):
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    near, expected = nearest_images(vectors, 3, metric)
    a = np.repeat(np.arange(50), 3)
    np.testing.assert_allclose(distances(vectors, a, near.ravel(), metric), expected.ravel(), rtol=1e-4, atol=1e-6)


def test_pairs_on_pictures_that_look_alike(make_questions, make_store, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    scene(0).save(folder / "shot_10.png")
    scene(0, (160, 120)).save(folder / "again_11.jpg")
    scene(1).save(folder / "12.png")
    text = "Is the dog black?"
    questions = make_questions([(1, 10, text, "yes"), (2, 11, text, "no"), (3, 12, text, "no")])
    # By their regions 10 and 12 are alike.
    store = make_store({10: [[1.0, 0, 3]], 11: [[-5.0, 4, 1]], 12: [[1.1, 0, 3]]})
    settings = {"neighbours": 1, "distance": 1e-6, "metric": "euclidean"}
    sources = PairSources(questions, store)
    assert len(builder.build(sources, builder.Settings(**settings))) == 0
    pictured = builder.Settings(**settings, pictures=folder, picture_ids="number")
    table = builder.build(sources, pictured)
    assert (table.question_a.tolist(), table.question_b.tolist()) == ([1], [2])
    assert table.distance[0] > 0.1
    (folder / "12.png").unlink()
    with pytest.raises(DataError, match="image 12: no picture of this image"):
        hash_pictures(folder, "number", [10, 11, 12])
    with pytest.raises(UsageError):
        builder.Settings(near_images=False, pictures=folder)
