from __future__ import annotations

import os
import resource
import signal
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.features.check import check as check_store
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError

BOX = np.array([[0, 0, 3, 4]], np.float32)
IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        min_size=1,
        max_size=6,
        unique=True,
    ),
)


@settings(max_examples=60, deadline=None)
@given(ids=IDS, dim=st.integers(1, 300), dtype=st.sampled_from(["float16", "float32"]), data=st.data())
def test_round_trip_is_exact(tmp_path_factory, ids, dim, dtype, data):
    path = tmp_path_factory.mktemp("round") / "store.h5"
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    content = {}
    with RegionStoreWriter(path, dim=dim, dtype=dtype, fingerprint="how ü\n made") as writer:
        for image_id in ids:
            regions = data.draw(st.integers(1, 20))
            boxes = np.sort(rng.random((regions, 2, 2)), 1).reshape(-1, 4).astype(np.float32)
            content[image_id] = (rng.normal(size=(regions, dim)).astype(dtype), boxes, (5, 7))
            writer.add(image_id, *content[image_id])
    store = RegionStore(path)
    assert check_store(store.path).problems == []
    assert store.image_ids == tuple(ids)
    assert store.fingerprint == "how ü\n made"
    assert store.content_hash == writer.content_hash
    assert store.is_contiguous
    with h5py.File(path) as file:
        assert file["regions/features"].id.get_offset() % 4096 == 0
    for image_id, (features, boxes, size) in content.items():
        found = store[image_id]
        assert found.features.dtype == np.float32
        assert (found.features == features).all()
        assert (found.boxes == boxes).all()
        assert found.size.tolist() == list(size)


def test_same_input_gives_the_same_bytes(make_store):
    first, _ = make_store(name="a.h5", dim=600)
    time.sleep(1.1)  # HDF5's time stamps count seconds
    second, _ = make_store(name="b.h5", dim=600)
    assert first.read_bytes() == second.read_bytes()


def test_layout_is_the_documented_one(make_store):
    path, content = make_store(counts=(20, 500, 3, 4), dim=4)
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"vqa-gs-regions"
        assert file.attrs["format_version"] == 1
        assert file.attrs["dtype"] == b"float16"
        features = file["regions/features"]
        assert features.dtype == np.float16
        assert features.chunks is None
        assert features.id.get_offset() == 4096
        assert file["regions/boxes"].dtype == np.float32
        assert file["images/id"][:].tolist() == list(content)
        assert file["images/id"].dtype == np.int64
        assert file["images/first"][:].tolist() == [0, 20, 520, 523, 527]
        assert file["images/size"].dtype == np.int32


def test_content_hash_sees_every_part(make_store):
    hashes = {RegionStore(make_store(seed=seed)[0]).content_hash for seed in (0, 1)}
    hashes.add(RegionStore(make_store(ids=(3, 1, 70, 21))[0]).content_hash)
    hashes.add(RegionStore(make_store(counts=(5, 2, 1, 3))[0]).content_hash)
    hashes.add(RegionStore(make_store(ids=("3", "1", "70", "20"))[0]).content_hash)
    hashes.add(RegionStore(make_store(dtype="float32")[0]).content_hash)
    assert len(hashes) == 6


def good(**changes):
    image = {"image_id": 1, "features": np.ones((1, 3)), "boxes": BOX, "size": (5, 5)}
    return {**image, **changes}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (good(features=np.ones((1, 4))), "expected (regions, 3)"),
        (good(features=np.ones(3)), "expected (regions, 3)"),
        (good(features=np.ones((1, 3), int)), "expected (regions, 3)"),
        (good(features=np.ones((0, 3)), boxes=np.ones((0, 4))), "has no regions"),
        (good(features=np.array([[1, np.nan, 1]])), "region 0 holds NaN"),
        (good(features=np.array([[1, 7e4, 1]])), "too large for float16"),
        (good(boxes=np.tile(BOX, (2, 1))), "1 regions but boxes of shape (2, 4)"),
        (good(boxes=BOX * np.nan), "a box holds NaN"),
        (good(boxes=BOX[:, [2, 1, 0, 3]]), "ends before it begins"),
        (good(size=(0, 5)), "not a width and a height"),
        (good(size=(5.5, 5)), "not a width and a height"),
        (good(size=(float("nan"), 5)), "not a width and a height"),
        (good(image_id=2), "occurs twice"),
        (good(image_id="1"), "cannot be mixed"),
        (good(image_id=True), "an int or a str, not bool"),
        (good(image_id=1.0), "an int or a str, not float"),
        (good(image_id=2**63), "does not fit 64 bits"),
    ],
)
def test_bad_images_are_refused_and_leave_nothing(tmp_path, image, message):
    path = tmp_path / "store.h5"
    with RegionStoreWriter(path, dim=3, dtype="float16", fingerprint="") as writer:
        writer.add(**good(image_id=2))
        with pytest.raises(DataError) as caught:
            writer.add(**image)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        writer.add(**good(image_id=3))
    store = RegionStore(path)
    assert check_store(store.path).problems == []
    assert store.image_ids == (2, 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.h5"]


@pytest.mark.parametrize("image_id", ["", "a\0b", "\ud800"])
def test_text_that_hdf5_cannot_hold_is_refused(tmp_path, image_id):
    with RegionStoreWriter(tmp_path / "s.h5", dim=3, fingerprint="") as writer:
        writer.add(**good(image_id="fine"))
        with pytest.raises(DataError, match="not an id"):
            writer.add(**good(image_id=image_id))


def test_an_error_in_the_block_keeps_the_old_file(tmp_path, make_store):
    path, _ = make_store()
    before = path.read_bytes()
    with (
        pytest.raises(DataError, match="occurs twice"),
        RegionStoreWriter(path, dim=3, fingerprint="") as writer,
    ):
        for _ in range(2):
            writer.add(**good())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_empty_store_and_senseless_settings_are_refused(tmp_path):
    path = tmp_path / "store.h5"
    with pytest.raises(DataError, match="no images"), RegionStoreWriter(path, dim=3, fingerprint=""):
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="int8"):
        RegionStoreWriter(path, dim=3, dtype="int8", fingerprint="")
    with pytest.raises(UsageError, match="dimension of 0"):
        RegionStoreWriter(path, dim=0, fingerprint="")
    with pytest.raises(RuntimeError, match="context manager"):
        RegionStoreWriter(path, dim=3, fingerprint="").add(**good())
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(DataError, match="is a folder"),
        RegionStoreWriter(tmp_path / "folder", dim=3, fingerprint=""),
    ):
        pass


def test_a_full_disk_is_one_line(tmp_path, fork):
    def work(pipe):
        # A limit on the size of files stands in for the full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            with RegionStoreWriter(tmp_path / "s.h5", dim=1000, fingerprint="") as writer:
                for n in range(200):
                    writer.add(n, np.ones((1, 1000)), np.array([[0, 0, 3, 4.0]]), (5, 5))
        except DataError as error:
            pipe.send(str(error))

    process, reports = fork(work)
    message = reports.recv()
    process.join()
    assert process.exitcode == 0
    assert "cannot be written" in message
    assert "\n" not in message
    assert not os.listdir(tmp_path)


COLUMNS = {
    "class": np.array([3, 1599]),
    "class_score": np.array([0.25, 1.0], np.float32),
    "attribute": np.array([0, -1]),
    "attribute_score": np.array([0.5, 0.125]),
}


def test_columns_come_back_as_they_were(tmp_path):
    boxes = np.array([[0, 0, 1, 1]] * 2)
    with RegionStoreWriter(tmp_path / "x.h5", dim=1, fingerprint="", columns=COLUMNS) as writer:
        writer.add(1, np.ones((2, 1), np.float32), boxes, (2, 2), COLUMNS)
        writer.add(2, np.ones((1, 1), np.float32), boxes[:1], (2, 2), {name: v[1:] for name, v in COLUMNS.items()})
    store = RegionStore(tmp_path / "x.h5")
    assert check_store(store.path).problems == []
    assert store.columns == tuple(COLUMNS)
    assert store.content_hash == writer.content_hash
    for name, values in COLUMNS.items():
        assert (store[1].columns[name] == values).all()
        assert store[2].columns[name].dtype == (np.float32 if name.endswith("score") else np.int32)
    assert store.read_batch([2, 1]).features.shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"image 1: has the columns \[\], expected \['class'\]"),
        ({"class": np.array([1])}, r"2 regions but class of shape \(1,\)"),
        ({"class": np.array([1.0, 2.0])}, "class holds what is no int32"),
        ({"class": np.array([1, 2**31])}, "class holds what is no int32"),
        ({"class": np.array([1, -(2**63)])}, "class holds what is no int32"),
        ({"class": np.array([1, 2]), "class_score": np.ones(2)}, "has the columns"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, columns, message):
    with (
        pytest.raises(DataError, match=message),
        RegionStoreWriter(tmp_path / "x.h5", dim=1, fingerprint="", columns=["class"]) as writer,
    ):
        writer.add(1, np.ones((2, 1), np.float32), np.array([[0, 0, 1, 1]] * 2), (2, 2), columns)
    with pytest.raises(UsageError, match="no column 'colour'"):
        RegionStoreWriter(tmp_path / "x.h5", dim=1, fingerprint="", columns=["colour"])


def test_scores_must_be_finite(tmp_path):
    with (
        pytest.raises(DataError, match="class_score holds what is no float32"),
        RegionStoreWriter(tmp_path / "x.h5", dim=1, fingerprint="", columns=["class_score"]) as writer,
    ):
        columns = {"class_score": np.array([np.nan])}
        writer.add(1, np.ones((1, 1), np.float32), np.array([[0, 0, 1, 1]]), (2, 2), columns)


@settings(max_examples=60, deadline=None)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
def test_halves_are_rounded_as_numpy_does(bits):
    values = np.array(bits, np.uint32).view(np.float32)[:, None]
    values = values[np.isfinite(values[:, 0])]
    values.setflags(write=False)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    writer = RegionStoreWriter("unused", dim=1, dtype="float16", fingerprint="")
    assert (writer._stored(values).view(np.uint16) == expected.view(np.uint16)).all()
