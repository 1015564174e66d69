import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.nearest.image_groups import alike_pictures, alike_regions, image_groups

from vqa_gs.common.errors import UsageError


def pairs(*found):
    a, b = zip(*found, strict=True) if found else ((), ())
    return np.array(a, np.int64), np.array(b, np.int64)


def test_links_connect():
    ids = [10, "x", 12, 13, 14, 15]
    # 10 - 12 - 13 by way of two sources; "x" with 15; 14 alone.
    assert image_groups(ids, [pairs((0, 2), (2, 0), (5, 1)), pairs((3, 2))]) == [[10, 12, 13], ["x", 15]]
    assert image_groups(ids, [pairs()]) == []


@pytest.fixture
def store(tmp_path):
    """Twenty images in ten pairs that differ by a thousandth."""
    rng = np.random.default_rng(0)
    with RegionStoreWriter(tmp_path / "s.h5", dim=8, dtype="float32", fingerprint="test") as writer:
        for pair in range(10):
            features = rng.normal(size=(3, 8)).astype(np.float32)
            for half in range(2):
                boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (3, 1))
                writer.add(2 * pair + half, features + np.float32(0.001 * half), boxes, (10, 10))
    return RegionStore(tmp_path / "s.h5")


def test_alike_regions(store):
    ids = list(range(20))
    expected = [[2 * pair, 2 * pair + 1] for pair in range(10)]
    assert image_groups(ids, [alike_regions(ids, store, 0.001)]) == expected
    assert image_groups(ids, [alike_regions(ids, store, 2.0)]) == [ids]
    with pytest.raises(UsageError, match="a distance of 3"):
        alike_regions(ids, store, 3)


def test_alike_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        picture = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).resize((120, 80))
        picture.save(tmp_path / f"{number}.png")
        if number < 2:
            picture.resize((90, 60)).save(tmp_path / f"{number + 10}.jpg")
    ids = [0, 1, 2, 3, 10, 11]
    assert image_groups(ids, [alike_pictures(ids, tmp_path, "auto", 8)]) == [[0, 10], [1, 11]]
    with pytest.raises(UsageError, match="64 bits"):
        alike_pictures(ids, tmp_path, "auto", 64)
