from __future__ import annotations

import csv
import pickle
import sys

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vqa_gs.features.convert import convert
from vqa_gs.features.diff import diff
from vqa_gs.features.export import export
from vqa_gs.features.geometry import normalized_boxes
from vqa_gs.features.layout import COLUMNS
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError

ALL = tuple(COLUMNS)


@pytest.fixture
def make_detected(tmp_path):
    """Returns a function that writes a store with detections."""

    def make(ids=(42, 7, 391895), counts=(3, 3, 3), columns=ALL, dtype="float32", name="store.h5", seed=0):
        rng = np.random.default_rng(seed)
        path = tmp_path / name
        with RegionStoreWriter(path, dim=5, dtype=dtype, fingerprint="test", columns=columns) as writer:
            for image_id, regions in zip(ids, counts, strict=True):
                size = rng.integers(20, 600, 2)
                boxes = (np.sort(rng.random((regions, 2, 2)), axis=1) * size).reshape(regions, 4).astype(np.float32)
                values = {
                    name: rng.integers(0, 1600, regions) if kind.kind == "i" else rng.random(regions).astype(kind)
                    for name, kind in COLUMNS.items()
                    if name in columns
                }
                writer.add(image_id, rng.normal(size=(regions, 5)).astype(np.float32), boxes, size, values)
        return path

    return make


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("format", ["hdf5-36", "hdf5-adaptive", "tsv-10", "npz", "parquet"])
def test_round_trips_give_the_same_content(make_detected, tmp_path, format, dtype):
    store = make_detected(dtype=dtype)
    out = tmp_path / "foreign"
    steps = []
    assert export(store, out, format, progress=lambda done, total: steps.append((done, total))) == []
    assert steps == [(1, 3), (2, 3), (3, 3)]
    convert(out, tmp_path / "back.h5", dtype=dtype)
    if format == "npz":  # files are read in the order of their names
        assert [line for line in diff(store, tmp_path / "back.h5").lines if "made otherwise" not in line] == [
            "the images are in another order"
        ]
        return
    assert RegionStore(tmp_path / "back.h5").content_hash == RegionStore(store).content_hash


def test_lxmert_without_attributes(make_detected, tmp_path):
    store = make_detected(columns=("class", "class_score"))
    (told,) = export(store, tmp_path / "x.tsv", "tsv-10")
    assert "written as 0 with confidence 0" in told
    convert(tmp_path / "x.tsv", tmp_path / "back.h5")
    assert (
        "columns: class, class_score and class, class_score, attribute, attribute_score"
        in diff(store, tmp_path / "back.h5").lines
    )
    assert (RegionStore(tmp_path / "back.h5")[42].columns["attribute_score"] == 0).all()


def test_a_folder_of_archives_is_whole_or_absent(make_detected, tmp_path):
    store = make_detected()
    with pytest.raises(UsageError, match="cannot be the name of a file"):
        export(store, tmp_path / "x", "npz", id_template="a/{}")
    assert not (tmp_path / "x").exists()
    export(store, tmp_path / "x", "npz", id_template="COCO_val2014_{:012d}.jpg")
    assert sorted(path.name for path in (tmp_path / "x").iterdir())[0] == "COCO_val2014_000000000007.jpg.npz"
    with pytest.raises(DataError, match="is there already"):
        export(store, tmp_path / "x", "npz")


@pytest.mark.parametrize("format", ["tsv", "hdf5-adaptive", "parquet"])
def test_adaptive_round_trips(make_detected, tmp_path, format):
    store = make_detected(counts=(1, 7, 2), columns=())
    export(store, tmp_path / "foreign", format)
    convert(tmp_path / "foreign", tmp_path / "back.h5")
    assert RegionStore(tmp_path / "back.h5").content_hash == RegionStore(store).content_hash


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6),
    format=st.sampled_from(["tsv", "hdf5-36", "hdf5-adaptive"]),
    size=st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
)
def test_any_float32_survives(tmp_path, bits, format, size):
    features = np.array(bits, np.uint32).view(np.float32).reshape(2, 3)
    features = np.where(np.isfinite(features), features, np.float32(-0.0))
    boxes = np.array([[0, 0, *size], [0.5, 0.25, size[0], size[1] / 3 + 0.25]], np.float32)
    with RegionStoreWriter(tmp_path / "s.h5", dim=3, dtype="float32", fingerprint="") as writer:
        writer.add("text id", features, boxes, size)
    export(tmp_path / "s.h5", tmp_path / "foreign", format)
    convert(tmp_path / "foreign", tmp_path / "back.h5")
    found = RegionStore(tmp_path / "back.h5")["text id"]
    assert (found.features.view(np.uint32) == features.view(np.uint32)).all()
    assert (found.boxes == boxes).all()
    assert found.size.tolist() == list(size)


def test_the_hdf5_is_what_older_code_opens(make_detected, tmp_path):
    store = RegionStore(make_detected())
    export(store.path, tmp_path / "train36.hdf5", "hdf5-36")
    index = pickle.loads((tmp_path / "train36_imgid2idx.pkl").read_bytes())
    assert index == {42: 0, 7: 1, 391895: 2}
    with h5py.File(tmp_path / "train36.hdf5") as file:
        assert {name: file[name].shape for name in file} == {
            "image_features": (3, 3, 5),
            "image_bb": (3, 3, 4),
            "spatial_features": (3, 3, 6),
            "cls_score": (3, 3, 2),
            "attr_score": (3, 3, 2),
        }
        for name in file:
            assert (file[name].dtype, file[name].chunks) == (np.dtype("<f4"), None)
            assert file[name].id.get_offset() is not None
        one = store[7]
        assert (file["image_features"][1] == one.features).all()
        assert (file["spatial_features"][1] == normalized_boxes(one.boxes, one.size)).all()
        assert (file["cls_score"][1, :, 0].astype(int) == one.columns["class"]).all()
    export(store.path, tmp_path / "val.hdf5", "hdf5-adaptive")
    with h5py.File(tmp_path / "val.hdf5") as file:
        assert file["pos_boxes"][:].tolist() == [[0, 3], [3, 6], [6, 9]]
        assert file["pos_boxes"].dtype == np.dtype("<i4")
        assert file["image_features"].shape == (9, 5)


def test_the_tsv_is_what_older_code_opens(make_detected, tmp_path):
    store = RegionStore(make_detected())
    export(store.path, tmp_path / "x.tsv", "tsv-10", id_template="COCO_train2014_{:012d}")
    csv.field_size_limit(sys.maxsize)
    with open(tmp_path / "x.tsv", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert [row[0] for row in rows] == [f"COCO_train2014_{i:012d}" for i in store.image_ids]
    assert [int(rows[1][1]), int(rows[1][2])] == store[7].size.tolist()[::-1]
    assert rows[1][7] == "3"
    assert (tmp_path / "x.tsv").read_bytes().endswith(b"\r\n")
    convert(tmp_path / "x.tsv", tmp_path / "back.h5")
    assert RegionStore(tmp_path / "back.h5").content_hash == store.content_hash


def test_what_a_format_cannot_hold_is_refused_or_told(make_detected, tmp_path):
    uneven = make_detected(counts=(3, 3, 4))
    with pytest.raises(DataError, match=r"store\.h5: image 391895: 4 regions, the first .*\(export to hdf5-adaptive"):
        export(uneven, tmp_path / "x", "hdf5-36")
    with pytest.raises(DataError, match=r"has no attribute_score \(export to tsv"):
        export(make_detected(columns=ALL[:3], name="three.h5"), tmp_path / "x", "tsv-10")
    assert "only tsv-10" in export(uneven, tmp_path / "six.tsv", "tsv")[0]
    assert export(make_detected(columns=("class_score",), name="odd.h5"), tmp_path / "odd.hdf5", "hdf5-36") == [
        "left out, as the format has no place for it: class_score"
    ]
    with pytest.raises(DataError, match=r"image 'a\\tb': an id that a TSV cannot hold"):
        export(make_detected(ids=("a\tb", "c", "d"), name="tab.h5"), tmp_path / "x", "tsv")
    with pytest.raises(UsageError, match="bin can be read only .*hdf5-36, hdf5-adaptive, npz, parquet, tsv, tsv-10"):
        export(uneven, tmp_path / "x", "bin")
    with pytest.raises(UsageError, match="would replace the store"):
        export(uneven, uneven, "tsv")
    for template in ("{:q}", "{1}", "{", "same", "{name}"):
        with pytest.raises(UsageError, match="id template"):
            export(uneven, tmp_path / "x", "tsv", id_template=template)
    assert not (tmp_path / "x").exists()
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".tmp")]
