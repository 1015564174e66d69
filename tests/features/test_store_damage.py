from __future__ import annotations

import h5py
import numpy as np
import pytest
from vqa_gs.features.check import check
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, VqaGsError

from .batches import check_batch


def test_missing_images_name_store_id_and_mend(make_store):
    store = RegionStore(make_store()[0])
    for read in (lambda i: store[i], lambda i: store.read_batch([1, i]), lambda i: store.counts([i])):
        with pytest.raises(DataError, match=r"store\.h5: image 99: .*no such image.*\(extract or convert"):
            read(99)
        with pytest.raises(DataError, match=r"image '3': .*the id asked for is text, this store's ids are integers"):
            read("3")
        with pytest.raises(DataError, match="no such image"):
            read([])
    texts = RegionStore(make_store(ids=("a", "b", "c", "3"), name="text.h5")[0])
    with pytest.raises(DataError, match="the id asked for is an integer, this store's ids are text"):
        texts[3]


def test_other_files_are_refused_with_a_way_out(tmp_path, make_store, make_fixed36):
    with pytest.raises(DataError, match="no such region store"):
        RegionStore(tmp_path / "none.h5")
    with pytest.raises(DataError, match="is a folder"):
        RegionStore(tmp_path)
    with pytest.raises(DataError, match="run `vqa-gs features convert`"):
        RegionStore(make_fixed36()[0])
    text = tmp_path / "text.h5"
    text.write_text("image_id\tfeatures\n")
    with pytest.raises(DataError, match=r"not an HDF5 file.*vqa-gs features convert"):
        RegionStore(text)
    path, _ = make_store()
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DataError, match="version 2, this program reads version 1"):
        RegionStore(path)


def break_first(file):
    file["images/first"][1] = 10**6


def break_ids(file):
    file["images/id"][1] = file["images/id"][0]


def break_dtype(file):
    file.attrs["dtype"] = "float32"


def break_boxes(file):
    del file["regions/boxes"]
    file["regions/boxes"] = np.zeros((3, 4), np.float32)


def break_sizes(file):
    del file["images/size"]


def break_features(file):
    del file["regions/features"]
    file["regions/features"] = np.zeros(5, np.float16)


def break_hash(file):
    del file.attrs["content_hash"]


@pytest.mark.parametrize(
    "damage",
    [break_first, break_ids, break_dtype, break_boxes, break_sizes, break_features, break_hash],
)
def test_contradicting_indices_are_refused(make_store, damage):
    path, _ = make_store()
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=r"store\.h5: "):
        RegionStore(path)


def test_truncation_is_noticed_on_opening(make_store):
    path, _ = make_store(dim=3000)
    content = path.read_bytes()
    for size in (0, 100, 4096, 20_000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"store\.h5: "):
            RegionStore(path)


def test_a_dataset_that_claims_more_than_the_file_holds(make_store):
    path, _ = make_store(dim=3000)
    with h5py.File(path) as file:
        dataset = file["regions/features"]
        marker = np.array([*dataset.shape, *dataset.shape], "<u8").tobytes()
    content = path.read_bytes()
    assert content.count(marker) == 1
    changed = np.array([2**40, 3000, 2**40, 3000], "<u8").tobytes()
    path.write_bytes(content.replace(marker, changed))
    with pytest.raises(DataError, match=r"store\.h5: "):
        RegionStore(path)


def test_a_replaced_file_is_noticed(make_store):
    path, content = make_store()
    waiting, reading = RegionStore(path), RegionStore(path)
    reading.read_batch([1])
    make_store(seed=5)
    with pytest.raises(DataError, match="replaced or changed"):
        waiting.read_batch([1])
    # An open handle still reads the file it was opened on.
    check_batch(reading.read_batch([1, 3]), [1, 3], content)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_caught_with_their_image(make_store, dtype, value):
    path, content = make_store(dtype=dtype)
    with h5py.File(path, "r+") as file:
        file["regions/features"][4, 2] = value  # of image 1, whose regions are 2 to 7
    store = RegionStore(path)
    for read in (lambda: store.read_batch([3, 1]), lambda: store[1]):
        with pytest.raises(DataError, match=r"store\.h5: image 1: the features hold NaN or infinity"):
            read()
    assert "1 regions hold NaN or infinity: image 1" in check(path).problems
    check_batch(store.read_batch([3, 70]), [3, 70], content)


def test_large_finite_numbers_are_no_mistake(make_store):
    path, _ = make_store(dtype="float32")
    with h5py.File(path, "r+") as file:
        file["regions/features"][0, :2] = [3e38, -3e38]
    store = RegionStore(path)
    assert store.read_batch([3]).features.max() == np.float32(3e38)
    assert store[3].features.min() == np.float32(-3e38)


def test_a_check_sees_a_changed_bit_anywhere(make_store):
    path, _ = make_store()
    for name, index in (("regions/features", (3, 1)), ("regions/boxes", (0, 2)), ("images/size", (1, 1))):
        with h5py.File(path, "r+") as file:
            before = file[name][index]
            file[name][index] = before + 1
        (problem,) = check(path).problems
        assert "changed or damaged" in problem
        with h5py.File(path, "r+") as file:
            file[name][index] = before
    assert check(path).problems == []
    with h5py.File(path, "r+") as file:
        file["regions/boxes"][6, 1] = np.nan
    assert "1 boxes hold NaN or infinity: image 1" in check(path).problems


def test_damaged_bytes_only_raise_errors_meant_for_users(make_store):
    path, _ = make_store()
    original = path.read_bytes()
    used = [i for i in range(len(original)) if original[i]]
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(400):
        damaged = bytearray(original)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.choice(used)] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with RegionStore(path) as store:
                store.read_batch(store.image_ids)
                if problems := check(path).problems:
                    raise DataError(problems[0], file=path)
        except VqaGsError as error:
            refused.append(str(error))
    assert len(refused) > 350
    assert all("store.h5" in message and "\n" not in message for message in refused)
