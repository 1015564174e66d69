import numpy as np
import pytest
import torch
from vqa_gs.features.held import HeldRegions
from vqa_gs.features.store import Regions, RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError


def test_reads_like_a_store_of_the_same_regions(tmp_path):
    rng = np.random.default_rng(0)
    parts = {
        image: Regions(
            rng.normal(size=(count, 6)).astype(np.float32),
            np.tile(np.array([0, 0, 5, 5], np.float32), (count, 1)),
            np.array([9, 8], np.int32),
        )
        for image, count in ((4, 3), (7, 1), (9, 5))
    }
    with RegionStoreWriter(tmp_path / "s.h5", dim=6, dtype="float32", fingerprint="f") as writer:
        for image, part in parts.items():
            writer.add(image, part.features, part.boxes, part.size)
    held, store = HeldRegions(parts, "f"), RegionStore(tmp_path / "s.h5")
    assert (held.dim, len(held), held.fingerprint, held.regions) == (6, 3, "f", 9)
    assert 7 in held
    assert 8 not in held
    assert held.counts([9, 4]).tolist() == store.counts([9, 4]).tolist()
    one, other = held.read_batch([9, 4, 9]), store.read_batch([9, 4, 9])
    for name in ("features", "boxes", "mask", "sizes"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
    ("features", "boxes", "message"),
    [
        (np.full((1, 3), np.inf), np.zeros((1, 4)), "NaN or infinity"),
        (np.zeros((2, 3)), np.zeros((1, 4)), "2 regions with boxes"),
    ],
)
def test_refused(features, boxes, message):
    with pytest.raises(DataError, match=message):
        HeldRegions({1: Regions(features.astype(np.float32), boxes.astype(np.float32), np.array([5, 5]))})
