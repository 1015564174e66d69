"""A store on a device, or locked in memory, reads as the file does."""

import mmap

import numpy as np
import pytest
import torch
from vqa_gs.features import resident as module
from vqa_gs.features.joined import JoinedStore
from vqa_gs.features.resident import ResidentStore, resident, size_of
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError

CPU = torch.device("cpu")


def write(file, ids, counts, dtype="float16"):
    rng = np.random.default_rng(len(ids))
    with RegionStoreWriter(file, dim=5, dtype=dtype, fingerprint="drawn") as writer:
        for image_id, count in zip(ids, counts, strict=True):
            boxes = np.sort(rng.uniform(0, 90, (count, 2, 2)), axis=1).reshape(count, 4)
            writer.add(image_id, rng.normal(size=(count, 5)), boxes.astype(np.float32), (100, 91 + count))
    return RegionStore(file)


@pytest.fixture(params=["uniform", "ragged", "float32", "joined"])
def store(request, tmp_path):
    ragged = [3, 1, 6, 2, 4]
    if request.param == "joined":
        return JoinedStore([write(tmp_path / "a.h5", range(5), ragged), write(tmp_path / "b.h5", ["x", "y"], [2, 7])])
    counts = [4] * 5 if request.param == "uniform" else ragged
    return write(tmp_path / "a.h5", range(5), counts, "float32" if request.param == "float32" else "float16")


def test_batches_are_those_of_the_file(store):
    held, told, _ = resident(store, "device", CPU)
    assert isinstance(held, ResidentStore)
    assert told == f"on cpu, {size_of(store) / 1e9:.2f} GB"
    ids = [*store.image_ids, store.image_ids[1], store.image_ids[0]]
    for asked in (ids, ids[:1], np.array(ids, object), []):
        for mine, theirs in zip(held.read_batch(asked)._parts(), store.read_batch(asked)._parts(), strict=True):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs)
    assert held.counts(ids).tolist() == store.counts(ids).tolist()
    assert len(held) == len(store)
    assert (held.content_hash, held.dim, held.regions) == (store.content_hash, store.dim, store.regions)
    assert np.array_equal(held[ids[2]].features, store[ids[2]].features)
    assert ids[0] in held
    assert "nowhere" not in held
    with pytest.raises(DataError, match="no such image"):
        held.read_batch([404])
    if store.dtype == np.float16:
        assert held.read_batch(ids, dtype=torch.float16).features.dtype == torch.float16
    held.close()


def test_locked_pages_are_of_the_same_store(store, monkeypatch):
    same, told, pages = resident(store, "memory", CPU)
    assert same is store
    assert told.startswith(("in memory, locked,", "in memory, not locked,"))
    assert all(isinstance(part, mmap.mmap) for part in pages)
    assert len(pages) == len(getattr(store, "stores", [store]))


def test_pages_that_may_not_be_locked_are_told(store, monkeypatch, caplog):
    class Refuses:
        def mlock(self, address, length):
            return -1

    monkeypatch.setattr(module.ctypes, "CDLL", lambda *_, **__: Refuses())
    with caplog.at_level("INFO", "vqa_gs"):
        assert ", not locked, " in resident(store, "memory", CPU).told
    assert "cannot be locked in memory" in caplog.text


@pytest.mark.parametrize("where", ["none", "auto"])
def test_on_a_cpu_the_file_is_read(store, where):
    assert resident(store, where, CPU) == (store, "read from the file", ())


def test_a_gpu_with_room_to_spare_takes_all(store, monkeypatch):
    loaded = []
    monkeypatch.setattr(module, "ResidentStore", lambda store, device: loaded.append(device) or store)
    gpu = torch.device("cuda")
    for free, fits in ((2 * size_of(store), True), (2 * size_of(store) - 1, False)):
        monkeypatch.setattr(module, "free_on", lambda _, free=free: free)
        told = resident(store, "auto", gpu).told
        assert told.startswith("on cuda") == fits
    assert loaded == [gpu]


@pytest.mark.parametrize("where", ["device", "memory"])
def test_what_does_not_fit_is_one_line(store, monkeypatch, where):
    monkeypatch.setattr(module, "free_on", lambda _: 10)
    with pytest.raises(UsageError, match=r"GB of features do not fit into (cpu|memory) \(set data.resident to none\)"):
        resident(store, where, CPU)


def test_numbers_that_are_not_finite_name_their_image(tmp_path):
    store = write(tmp_path / "a.h5", range(5), [3, 1, 6, 2, 4])
    with open(tmp_path / "a.h5", "r+b") as file:
        file.seek(store._index.offset + 10 * store.dim * 2)  # the first region of the fourth image
        file.write(np.float16(np.inf).tobytes())
    with pytest.raises(DataError, match="image 3: the features hold NaN"):
        resident(RegionStore(tmp_path / "a.h5"), "device", CPU)
