import pickle

import numpy as np
import pytest
from vqa_gs.features.joined import JoinedStore, open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError


@pytest.fixture
def paths(tmp_path):
    generator = np.random.default_rng(0)
    made = []
    for name, ids in (("numbers.h5", [1, 2, 3]), ("text.h5", ["1", "edit"])):
        with RegionStoreWriter(tmp_path / name, dim=4, dtype="float32", fingerprint=name) as writer:
            for at, image_id in enumerate(ids):
                boxes = np.tile([0, 0, 5 + at, 7], (at + 1, 1))
                writer.add(image_id, generator.random((at + 1, 4), np.float32), boxes, (10 + at, 20))
        made.append(tmp_path / name)
    return made


def test_reads_like_one_store(paths):
    store = pickle.loads(pickle.dumps(open_stores(paths)))
    assert isinstance(store, JoinedStore)
    parts = [RegionStore(path) for path in paths]
    assert store.image_ids == (1, 2, 3, "1", "edit")
    assert (len(store), store.dim, store.regions) == (5, 4, 9)
    assert 1 in store
    assert "1" in store
    assert 9 not in store
    ids = ["edit", 3, 1, "1", 3]
    assert store.counts(ids).tolist() == [2, 3, 1, 1, 3]
    batch = store.read_batch(ids)
    for row, image_id in enumerate(ids):
        alone = parts[isinstance(image_id, str)][image_id]
        count = len(alone.features)
        assert batch.mask[row].sum() == count
        np.testing.assert_array_equal(batch.features[row, :count].numpy(), alone.features)
        np.testing.assert_array_equal(batch.boxes[row, :count].numpy(), alone.boxes)
        np.testing.assert_array_equal(batch.sizes[row].numpy(), alone.size)
        np.testing.assert_array_equal(store[image_id].features, alone.features)
        assert not batch.features[row, count:].any()
    one = store.read_batch([2, 1])
    np.testing.assert_array_equal(one.features.numpy(), parts[0].read_batch([2, 1]).features.numpy())
    tables = store.tables
    assert tables.first.tolist() == [0, 1, 3, 6, 7, 9]
    assert tables.boxes.shape == (9, 4)
    assert store.columns == ()
    store.close()
    assert isinstance(open_stores(paths[:1]), RegionStore)
    assert store.content_hash != parts[0].content_hash


def test_what_cannot_be_joined(paths, tmp_path):
    with pytest.raises(DataError, match="no such image"):
        open_stores(paths).read_batch([9])
    with pytest.raises(DataError, match=r"image 1: is in .*numbers\.h5 too"):
        with RegionStoreWriter(tmp_path / "c.h5", dim=4, fingerprint="c") as writer:
            writer.add(1, np.ones((1, 4), np.float32), np.zeros((1, 4)), (1, 1))
        open_stores([paths[0], tmp_path / "c.h5"])
    with pytest.raises(DataError, match="regions of 3 numbers"):
        with RegionStoreWriter(tmp_path / "d.h5", dim=3, fingerprint="c") as writer:
            writer.add(5, np.ones((1, 3), np.float32), np.zeros((1, 4)), (1, 1))
        open_stores([paths[0], tmp_path / "d.h5"])
