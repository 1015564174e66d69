from __future__ import annotations

import random
import time

import h5py
import numpy as np
import pytest
from vqa_gs.features.check import check as check_store
from vqa_gs.features.merge import merge
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_result_is_what_one_writer_would_have_written(make_store, tmp_path, dtype, hidden_files):
    one, first = make_store(ids=(3, 1), counts=(2, 5), dtype=dtype, name="one.h5")
    two, second = make_store(ids=range(100, 190), counts=[1, 2, 3] * 30, dtype=dtype, name="two.h5", seed=1)
    with RegionStoreWriter(tmp_path / "whole.h5", dim=8, dtype=dtype, fingerprint="test") as writer:
        for image_id, (features, boxes, size) in {**first, **second}.items():
            writer.add(image_id, features, boxes, size)
    calls = []
    summary = merge([one, two], tmp_path / "out.h5", lambda *done: calls.append(done))
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert (summary.images, summary.regions) == (92, 187)
    assert calls == [(2, 92), (66, 92), (92, 92)]
    assert hidden_files() == []


def with_columns(path, ids, value):
    with RegionStoreWriter(path, dim=2, fingerprint="test", columns=("class", "class_score")) as writer:
        for image_id in ids:
            columns = {"class": np.array([value, image_id]), "class_score": np.array([0.5, 0.25])}
            writer.add(image_id, np.ones((2, 2), np.float16), np.zeros((2, 4)), (9, 9), columns)
    return path


def test_columns_come_along(tmp_path):
    stores = [with_columns(tmp_path / "a.h5", [4, 5], 1), with_columns(tmp_path / "b.h5", [1], 2)]
    merge(stores, tmp_path / "out.h5")
    store = RegionStore(tmp_path / "out.h5")
    assert check_store(store.path).problems == []
    assert store.tables.columns["class"].tolist() == [1, 4, 1, 5, 2, 1]
    assert store.tables.columns["class_score"].tolist() == [0.5, 0.25] * 3


def test_what_does_not_fit_is_refused(make_store, tmp_path, hidden_files):
    one, _ = make_store(ids=(3, 1), counts=(2, 5), name="one.h5")
    out = tmp_path / "out.h5"
    for options, message in (
        ({"dim": 9}, "numbers a region: 9; those of .*one.h5: 8"),
        ({"dtype": "float32"}, "type: float32"),
        ({"ids": ("a", "b")}, "kind of image ids: str"),
        ({"ids": (1, 2)}, r"image 1: is in .*one\.h5 too"),
    ):
        other, _ = make_store(**{"ids": (7, 8), "counts": (1, 1), "name": "other.h5", **options})
        with pytest.raises(DataError, match=rf"other\.h5: .*{message}"):
            merge([one, other], out)
    narrow, _ = make_store(ids=(7,), counts=(1,), dim=2, name="narrow.h5")
    with pytest.raises(DataError, match=r"c\.h5: its columns: class, class_score; those of .*narrow\.h5: none"):
        merge([narrow, with_columns(tmp_path / "c.h5", [9], 1)], out)
    with pytest.raises(UsageError, match="no stores"):
        merge([], out)
    with pytest.raises(UsageError, match="into itself"):
        merge([one], one)
    assert not out.exists()
    assert hidden_files() == []


def test_features_made_otherwise_are_refused_unless_told(make_store, tmp_path):
    one, _ = make_store(ids=(3,), counts=(2,), name="one.h5")
    with RegionStoreWriter(tmp_path / "two.h5", dim=8, fingerprint="another") as writer:
        writer.add(9, np.ones((1, 8), np.float16), np.zeros((1, 4)), (5, 5))
    with pytest.raises(UsageError, match=r"two\.h5 was made otherwise than .*one\.h5: another, not test"):
        merge([one, tmp_path / "two.h5"], tmp_path / "out.h5")
    merge([one, tmp_path / "two.h5"], tmp_path / "out.h5", allow_other_features=True)
    assert RegionStore(tmp_path / "out.h5").fingerprint == '{"made_by": "merge", "of": ["test", "another"]}'


def test_damage_is_not_copied_under_a_new_hash(make_store, tmp_path, hidden_files):
    one, _ = make_store(ids=range(80), counts=[2] * 80, name="one.h5")
    with h5py.File(one, "r+") as file:
        file["regions/features"][150, 3] += 1
    with pytest.raises(DataError, match=r"one\.h5: the content was changed or damaged"):
        merge([one], tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert hidden_files() == []


def kill(fork, stores, out, expected, times, chance):
    for _ in range(times):
        process, _ = fork(lambda _: merge(stores, out))
        time.sleep(chance.uniform(0, 0.12))
        process.kill()
        process.join()
        if out.exists():
            assert out.read_bytes() == expected
            out.unlink()


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment(make_store, tmp_path, fork, hidden_files, times):
    stores = [
        make_store(ids=range(at, at + 400), counts=[20] * 400, dim=256, name=f"{at}.h5", seed=at)[0] for at in (0, 500)
    ]
    merge(stores, tmp_path / "expected.h5")
    expected = (tmp_path / "expected.h5").read_bytes()
    out = tmp_path / "out.h5"
    kill(fork, stores, out, expected, times, random.Random(times))
    merge(stores, out)
    assert out.read_bytes() == expected
    assert hidden_files() == []
