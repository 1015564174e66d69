from __future__ import annotations

import multiprocessing
import os
import pickle
import threading

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from vqa_gs.features.check import check as check_store
from vqa_gs.features.store import RegionBatch, RegionStore

from vqa_gs.common.errors import DataError, UsageError, VqaGsError

from .batches import check_batch


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("ids", [(3, 1, 70, 20), ("a", "ü", "c/d", "3")])
def test_batches_hold_what_was_written(make_store, dtype, ids):
    path, content = make_store(ids=ids, dtype=dtype)
    store = RegionStore(path)
    for asked in (list(ids), [ids[2], ids[0], ids[2]], [ids[3]], [ids[1], ids[2], ids[3]]):
        check_batch(store.read_batch(asked), asked, content)
    assert store.counts(list(ids)).tolist() == [2, 5, 1, 3]
    assert store.counts(list(ids)).dtype == np.int64
    assert (len(store), store.dim, store.dtype, store.regions) == (4, 8, np.dtype(dtype), 11)
    assert ids[0] in store
    assert "missing" not in store


def test_ids_may_come_as_arrays_and_an_empty_batch_is_empty(make_store):
    path, content = make_store()
    store = RegionStore(path)
    check_batch(store.read_batch(np.array([70, 3])), [70, 3], content)
    check_batch(store.read_batch(torch.tensor([70, 3])), [70, 3], content)
    assert (store[np.int64(3)].features == content[3][0]).all()
    empty = store.read_batch([])
    assert empty.features.shape == (0, 0, 8)
    assert len(empty) == 0


def test_pieces_larger_than_the_staging_buffer(make_store):
    # 60 images of 40 regions of 2 kB are several pieces, padded and full ones.
    rng = np.random.default_rng(0)
    counts = rng.integers(38, 41, 60).tolist()
    path, content = make_store(ids=range(60), counts=counts, dim=1024)
    store = RegionStore(path)
    order = rng.permutation(60).tolist()
    batch = store.read_batch(order)
    check_batch(batch, order, content)
    full = [i for i in order if counts[i] == 40]
    check_batch(store.read_batch(full, batch), full, content)
    check_batch(store.read_batch(range(60)), list(range(60)), content)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_out_is_used_again_and_stale_data_never_shows(make_store, dtype):
    path, content = make_store(ids=range(12), counts=[9, 8, 7, 1, 2, 1, 3, 9, 1, 1, 4, 9], dtype=dtype)
    store = RegionStore(path)
    rng = np.random.default_rng(1)
    out = store.read_batch(list(range(12)))
    place = out.features.data_ptr()
    for _ in range(60):
        asked = rng.choice(12, rng.integers(1, 13)).tolist()
        out = store.read_batch(asked, out=out)
        check_batch(out, asked, content)
        assert out.features.data_ptr() == place
    small = store.read_batch([3])
    check_batch(store.read_batch(list(range(12)), out=small), list(range(12)), content)


def test_float16_batches_are_the_bits_of_the_file(make_store):
    path, content = make_store()
    store = RegionStore(path)
    half = store.read_batch([70, 1], dtype=torch.float16)
    assert half.features.dtype == torch.float16
    assert (half.features[1].numpy() == content[1][0]).all()
    assert (half.features[0, 0].numpy() == content[70][0]).all()
    assert not half.features[0, 1:].any()
    check_batch(store.read_batch([70, 1], half), [70, 1], content)
    wide = RegionStore(make_store(dtype="float32", name="wide.h5")[0])
    for dtype in (torch.float16, torch.float64):
        with pytest.raises(UsageError, match=r"wide\.h5 holds float32, which cannot be read as"):
            wide.read_batch([1], dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("tells", ["no", "never", "in part", "is unable to"])
def test_what_is_not_in_memory_is_read_after_the_rest(make_store, monkeypatch, dtype, tells):
    path, content = make_store(ids=range(30), counts=[1, 2, 3] * 10)
    plain = os.preadv
    rng = np.random.default_rng(0)

    def preadv(descriptor, buffers, offset, flags=0):
        if flags and tells == "is unable to":
            raise OSError(95, "not supported")
        if flags and (tells == "never" or rng.random() < 0.5):
            if tells == "in part":
                return plain(descriptor, [buffers[0][:3]], offset)
            raise BlockingIOError
        return plain(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    store, out = RegionStore(path), None
    for _ in range(5):
        asked = rng.choice(30, 20).tolist()
        out = store.read_batch(asked, out, dtype)
        for row, image_id in enumerate(asked):
            features = content[image_id][0]
            assert (out.features[row, : len(features)].numpy() == features).all()
            assert not out.features[row, len(features) :].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 8)}])
def test_a_nan_is_refused_however_it_is_read(make_store, options, dtype):
    path, _ = make_store()
    with h5py.File(path, "r+") as file:
        features = file["regions/features"][:]
        features[4, 3] = np.nan
        del file["regions/features"]
        file.create_dataset("regions/features", data=features, **options)
    store = RegionStore(path)
    for _ in range(2):
        store.read_batch([3, 70], dtype=dtype)
        with pytest.raises(DataError, match=r"store\.h5: image 1: the features hold NaN or infinity"):
            store.read_batch([3, 1], dtype=dtype)


def test_out_of_another_kind_is_left_alone(make_store):
    path, content = make_store()
    store = RegionStore(path)
    wide = torch.ones(4, 9, 8, dtype=torch.float64)
    part = torch.ones(5, 9, 8)[1:]
    for features in (wide, part):
        out = RegionBatch(features, torch.ones(4, 9, 4), torch.ones(4, 9, dtype=torch.bool), torch.ones(4, 2))
        check_batch(store.read_batch([1, 3], out=out), [1, 3], content)
        assert (features == 1).all()


@pytest.mark.parametrize(
    ("options", "is_contiguous"),
    [
        ({"chunks": (2, 8)}, False),
        ({"chunks": (3, 5), "compression": "gzip", "shuffle": True}, False),
        ({"chunks": (4, 8), "compression": "lzf"}, False),
        ({"dtype": ">f2"}, False),
        ({}, True),
    ],
)
def test_repacked_stores_work_by_the_slow_path(make_store, tmp_path, options, is_contiguous):
    path, content = make_store()
    repacked = tmp_path / "repacked.h5"
    with h5py.File(path) as old, h5py.File(repacked, "w") as new:
        new.attrs.update(old.attrs)
        old.copy("images", new)
        new.create_dataset("regions/features", data=old["regions/features"][:], **options)
        new.create_dataset("regions/boxes", data=old["regions/boxes"][:], chunks=(2, 4), compression="gzip")
    store = RegionStore(repacked)
    assert store.is_contiguous is is_contiguous
    check_batch(store.read_batch([20, 3, 1]), [20, 3, 1], content)
    assert (store[70].features == content[70][0]).all()
    assert check_store(store.path).problems == []
    store.close()
    check_batch(pickle.loads(pickle.dumps(store)).read_batch([1]), [1], content)


def test_pickled_stores_open_their_own_handle(make_store):
    path, content = make_store()
    store = RegionStore(path)
    store.read_batch([1])
    copy = pickle.loads(pickle.dumps(store))
    assert copy._process is None
    check_batch(copy.read_batch([1, 70]), [1, 70], content)


def test_closing_and_reading_again(make_store):
    path, content = make_store()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with RegionStore(path) as store:
        for _ in range(5):
            check_batch(store.read_batch([1]), [1], content)
            store.close()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    assert "4 images" in repr(store)


def test_a_thread_reads_batches_while_images_are_read(make_store):
    path, content = make_store(ids=range(30), counts=[3, 4, 5] * 10, dim=600)
    store = RegionStore(path)
    failures = []

    def read_batches():
        try:
            rng, out = np.random.default_rng(0), None
            for _ in range(150):
                asked = rng.choice(30, 8).tolist()
                out = store.read_batch(asked, out)
                check_batch(out, asked, content)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_batches) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for image_id in range(30):
            assert (store[image_id].features == content[image_id][0]).all()
    for thread in threads:
        thread.join()
    assert not failures


class Batches(Dataset):
    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        store, asked = self.batches[index]
        return store.read_batch(asked)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_loader_workers_read_the_right_data(make_store, start):
    batches, contents = [], []
    for name in ("plain.h5", "chunked.h5"):
        path, content = make_store(ids=range(40), counts=[1, 2, 3, 4] * 10, name=name)
        if name == "chunked.h5":
            with h5py.File(path, "r+") as file:
                features = file["regions/features"][:]
                del file["regions/features"]
                file.create_dataset("regions/features", data=features, chunks=(7, 8), compression="gzip")
        store = RegionStore(path)
        store.read_batch([1])  # the parent's handle is open when the workers start
        rng = np.random.default_rng(0)
        batches += [(store, rng.choice(40, 6).tolist()) for _ in range(12)]
        contents += [content] * 12
    loader = DataLoader(
        Batches(batches),
        batch_size=None,
        num_workers=2,
        multiprocessing_context=multiprocessing.get_context(start),
    )
    for (store, asked), content, batch in zip(batches, contents, loader, strict=True):
        check_batch(batch, asked, content)
        check_batch(store.read_batch(asked), asked, content)


def test_errors_cross_from_a_worker_in_one_piece(make_store):
    store = RegionStore(make_store()[0])
    loader = DataLoader(Batches([(store, [1]), (store, [99])]), batch_size=None, num_workers=1)
    with pytest.raises(VqaGsError, match="image 99"):
        list(loader)


def test_batches_move_and_pin(make_store):
    batch = RegionStore(make_store()[0]).read_batch([1, 3])
    moved = batch.to("cpu")
    assert (moved.features == batch.features).all()
    assert batch.to("meta").features.device.type == "meta"
    assert len(batch) == 2


def test_real_adaptive_data_converts_and_reads(shared_data, tmp_path):
    from vqa_gs.features.convert import convert

    source = shared_data("vqa2-mini/regions.hdf5")
    convert(source, tmp_path / "mini.h5")
    store = RegionStore(tmp_path / "mini.h5")
    assert check_store(store.path).problems == []
    assert (len(store), store.regions, store.dim) == (24190, 71583, 132)
    index = pickle.loads(source.with_name("regions_imgid2idx.pkl").read_bytes())
    with h5py.File(source) as file:
        features, spans = file["image_features"][:], file["pos_boxes"][:]
    asked = list(index)[::50]
    batch = store.read_batch(asked)
    for row, image_id in enumerate(asked):
        start, end = spans[index[image_id]]
        assert (batch.features[row, : end - start].numpy() == features[start:end]).all()
        assert batch.mask[row].sum() == end - start
