from __future__ import annotations

import json
import pickle

import h5py
import numpy as np
import pytest
from vqa_gs.features.check import check
from vqa_gs.features.convert import convert
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError, VqaGsError
from vqa_gs.common.files import sha256_file


def check_store(path, content):
    store = RegionStore(path)
    assert check(store.path).problems == []
    assert set(store.image_ids) == set(content)
    for image_id, (features, boxes, size) in content.items():
        found = store[image_id]
        assert (found.features == features).all()
        assert (found.boxes == boxes).all()
        assert found.size.tolist() == list(size)
    return store


@pytest.mark.parametrize("ids", [(9, 25, 30), ("a", "b", "c")])
def test_fixed36_bit_by_bit(make_fixed36, tmp_path, ids):
    source, content = make_fixed36(ids=ids)
    calls = []
    summary = convert(source, tmp_path / "out.h5", progress=lambda done, total: calls.append((done, total)))
    store = check_store(tmp_path / "out.h5", content)
    assert store.image_ids == ids
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (summary.images, summary.regions, summary.dim, summary.dtype) == (3, 12, 6, "float32")
    assert summary.formats == ["hdf5-36"]
    assert summary.notes == []
    assert summary.fingerprint == store.fingerprint


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3), "compression": "gzip"}])
def test_adaptive_bit_by_bit(make_adaptive, tmp_path, options):
    source, content = make_adaptive(**options)
    assert convert(source, tmp_path / "out.h5").formats == ["hdf5-adaptive"]
    check_store(tmp_path / "out.h5", content)


def test_dtype_is_kept_or_changed_on_request(make_adaptive, tmp_path):
    source, content = make_adaptive()
    assert convert(source, tmp_path / "half.h5", dtype="float16").dtype == "float16"
    for image_id, found in ((i, RegionStore(tmp_path / "half.h5")[i]) for i in content):
        assert (found.features == content[image_id][0].astype(np.float16)).all()
    half, content = make_adaptive(dtype="float16", name="half")
    assert convert(half, tmp_path / "kept.h5").dtype == "float16"
    check_store(tmp_path / "kept.h5", content)
    double, _ = make_adaptive(dtype="float64", name="double")
    assert convert(double, tmp_path / "single.h5").dtype == "float32"
    with pytest.raises(UsageError, match="int8"):
        convert(source, tmp_path / "x.h5", dtype="int8")


def test_several_sources_become_one_store(make_fixed36, make_adaptive, tmp_path):
    train, one = make_fixed36()
    val, other = make_adaptive()
    summary = convert([train, val], tmp_path / "all.h5")
    assert summary.formats == ["hdf5-36", "hdf5-adaptive"]
    check_store(tmp_path / "all.h5", {**one, **other})
    with pytest.raises(DataError, match=r"val\.hdf5: .*is also in .*train36\.hdf5"):
        convert([train, make_adaptive(ids=(1, 25, 2))[0]], tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"val\.hdf5: .*cannot be mixed"):
        convert([train, make_adaptive(ids=("a", "b", "c"))[0]], tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"val\.hdf5: regions of 7 numbers"):
        convert([train, make_adaptive(dim=7)[0]], tmp_path / "x.h5")
    with pytest.raises(UsageError, match="no feature file"):
        convert([], tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def test_the_fingerprint_tells_format_and_source(make_fixed36, tmp_path):
    source, _ = make_fixed36()
    first = convert(source, tmp_path / "a.h5")
    (origin,) = json.loads(first.fingerprint)["sources"]
    index = source.with_name("train36_imgid2idx.pkl")
    assert origin == {"format": "hdf5-36", "sha256": [sha256_file(source), sha256_file(index)]}
    convert(source, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_files_of_no_known_format(tmp_path, make_store, make_fixed36):
    foreign = tmp_path / "foreign.hdf5"
    with h5py.File(foreign, "w") as file:
        file["something"] = [1, 2]
    with pytest.raises(DataError, match="HDF5 of no known layout, it holds: something"):
        convert(foreign, tmp_path / "x.h5")
    with pytest.raises(DataError, match="is a region store already"):
        convert(make_store()[0], tmp_path / "x.h5")
    text = tmp_path / "text.tsv"
    text.write_text("nothing")
    with pytest.raises(DataError, match="none of the known feature formats"):
        convert(text, tmp_path / "x.h5")
    with pytest.raises(DataError, match="no such feature file"):
        convert(tmp_path / "absent.hdf5", tmp_path / "x.h5")
    source, _ = make_fixed36()
    with pytest.raises(UsageError, match="no feature format called 'zip'"):
        convert(source, tmp_path / "x.h5", format="zip")
    with pytest.raises(DataError, match="image_features of shape"):
        convert(source, tmp_path / "x.h5", format="hdf5-adaptive")
    with pytest.raises(UsageError, match="replace its own source"):
        convert(source, source)


def test_truncated_sources(make_fixed36, make_adaptive, tmp_path):
    for source in (make_fixed36(dim=500)[0], make_adaptive(dim=500)[0]):
        whole = source.read_bytes()
        for size in (0, 50, 3000, len(whole) // 2, len(whole) - 1):
            source.write_bytes(whole[:size])
            with pytest.raises(DataError, match=source.name) as caught:
                convert(source, tmp_path / "x.h5")
            assert "\n" not in str(caught.value)
            assert not (tmp_path / "x.h5").exists()


def test_a_number_that_is_not_finite_names_file_row_and_image(make_fixed36, make_adaptive, tmp_path, hidden_files):
    fixed, _ = make_fixed36()
    with h5py.File(fixed, "r+") as file:
        file["image_features"][1, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"train36\.hdf5: row 1, image 25: region 2 holds NaN"):
        convert(fixed, tmp_path / "x.h5")
    adaptive, _ = make_adaptive()
    with h5py.File(adaptive, "r+") as file:
        file["image_features"][4, 0] = np.inf
    with pytest.raises(DataError, match=r"val\.hdf5: row 2, image 11: region 0 holds NaN"):
        convert(adaptive, tmp_path / "x.h5")
    adaptive, _ = make_adaptive(name="boxes")
    with h5py.File(adaptive, "r+") as file:
        file["image_bb"][3, 0] = np.nan
    with pytest.raises(DataError, match=r"boxes\.hdf5: row 1, image 2: a box holds NaN"):
        convert(adaptive, tmp_path / "x.h5")
    large, _ = make_adaptive(name="large")
    with h5py.File(large, "r+") as file:
        file["image_features"][0, 0] = 1e5
    with pytest.raises(DataError, match=r"row 0, image 5: region 0 has a number too large for float16 \(store"):
        convert(large, tmp_path / "x.h5", dtype="float16")
    assert not (tmp_path / "x.h5").exists()
    assert hidden_files() == []


def test_damaged_bytes_only_raise_errors_meant_for_users(make_adaptive, tmp_path):
    source, _ = make_adaptive()
    index = source.with_name("val_imgid2idx.pkl")
    original = index.read_bytes()
    for size in range(len(original)):
        index.write_bytes(original[:size])
        with pytest.raises(VqaGsError, match="val_imgid2idx"):
            convert(source, tmp_path / "x.h5")


def test_python_2_indices(make_fixed36, tmp_path):
    source, content = make_fixed36()
    index = source.with_name("train36_imgid2idx.pkl")
    # What Python 2 wrote for {9: 0, 25: 1, 30: 2}, protocol 0.
    index.write_bytes(b"(dp0\nI9\nI0\nsI25\nI1\nsI30\nI2\ns.")
    convert(source, tmp_path / "out.h5")
    check_store(tmp_path / "out.h5", content)
    index.write_bytes(pickle.dumps({np.int64(i): np.int32(n) for n, i in enumerate(content)}))
    convert(source, tmp_path / "numpy.h5")
    check_store(tmp_path / "numpy.h5", content)


def test_damaged_hdf5_images_are_skipped_and_listed(make_fixed36, make_adaptive, tmp_path):
    fixed, content = make_fixed36()
    with h5py.File(fixed, "r+") as file:
        file["image_features"][1, 2, 3] = np.nan
    index = fixed.with_name("train36_imgid2idx.pkl")
    index.write_bytes(pickle.dumps({9: 0, 25: 1, 30: 2, 31: 2, 32: 99}))
    adaptive, other = make_adaptive(ids=(5, 9, 11))
    with h5py.File(adaptive, "r+") as file:
        file["image_bb"][-1, 0] = np.inf
        file["pos_boxes"][0] = [0, 900]
    summary = convert([fixed, adaptive], tmp_path / "out.h5", on_error="skip")
    assert summary.images == 2
    for text, part in zip(
        summary.skipped,
        (
            "imgid2idx.pkl: image 31: points to row 2, as image 30",
            "imgid2idx.pkl: image 32: points to row 99",
            "train36.hdf5: row 1, image 25: region 2 holds NaN",
            "val.hdf5: row 0, image 5: pos_boxes says",
            "val.hdf5: row 1, image 9: the image is also in",
            "val.hdf5: row 2, image 11: a box holds NaN",
        ),
        strict=True,
    ):
        assert part in text
    check_store(tmp_path / "out.h5", {9: content[9], 30: content[30]})


def test_classes_of_the_scr_family(make_fixed36, tmp_path):
    source, content = make_fixed36()
    rng = np.random.default_rng(0)
    classes, scores = rng.integers(0, 1600, (3, 4)), rng.random((3, 4)).astype(np.float32)
    with h5py.File(source, "r+") as file:
        file["cls_score"] = np.stack([classes, rng.random((3, 4)), rng.random((3, 4))], 2).astype(np.float32)
        file["attr_score"] = np.stack([classes // 4, scores], 2).astype(np.float32)
        file["semantic_adj_matrix"] = np.zeros((3, 4, 4))
    summary = convert(source, tmp_path / "out.h5")
    assert summary.columns == ("class", "attribute", "attribute_score")
    assert summary.notes == [f"{source}: left out: semantic_adj_matrix"]
    store = check_store(tmp_path / "out.h5", content)
    assert (store[25].columns["class"] == classes[1]).all()
    assert (store[25].columns["attribute"] == classes[1] // 4).all()
    assert (store[25].columns["attribute_score"] == scores[1]).all()
    with h5py.File(source, "r+") as file:
        file["cls_score"][2, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"row 2, image 30: the class of a region is no id"):
        convert(source, tmp_path / "out.h5")


def test_text_ids_on_request(make_fixed36, tmp_path):
    source, content = make_fixed36(ids=("COCO_train2014_000000000009", "000000000010", "x"))
    named = convert(make_fixed36(ids=("COCO_train2014_000000000009",), name="named")[0], tmp_path / "named.h5")
    assert "1 COCO names became the numbers" in named.naming[0]
    assert RegionStore(tmp_path / "named.h5").image_ids == (9,)
    with pytest.raises(DataError, match="cannot be mixed"):
        convert(source, tmp_path / "out.h5")
    convert(source, tmp_path / "out.h5", ids="text")
    check_store(tmp_path / "out.h5", content)
    with pytest.raises(UsageError, match="ids is 'coco'"):
        convert(source, tmp_path / "out.h5", ids="coco")
    with pytest.raises(UsageError, match="on_error is 'stop'"):
        convert(source, tmp_path / "out.h5", on_error="stop")


def test_a_full_disk_is_no_damaged_image(make_adaptive, tmp_path, monkeypatch):
    source, _ = make_adaptive()

    def full(self, *arguments):
        raise DataError("cannot be written: No space left on device", file=tmp_path / "out.h5")

    monkeypatch.setattr("vqa_gs.features.writer.RegionStoreWriter.add", full)
    with pytest.raises(DataError, match="No space left"):
        convert(source, tmp_path / "out.h5", on_error="skip")


def test_a_chunk_that_cannot_be_unpacked_costs_its_images_only(make_adaptive, tmp_path):
    source, content = make_adaptive(ids=range(6), counts=[2] * 6, chunks=(4, 6), compression="gzip")
    with h5py.File(source) as file:
        chunk = file["image_features"].id.get_chunk_info(1)
    damaged = bytearray(source.read_bytes())
    damaged[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\0" * chunk.size
    source.write_bytes(damaged)
    with pytest.raises(DataError, match=r"val\.hdf5: row 2, image 2: damaged or truncated"):
        convert(source, tmp_path / "out.h5")
    summary = convert(source, tmp_path / "out.h5", on_error="skip")
    assert [line.split(": ")[1] for line in summary.skipped] == ["row 2, image 2", "row 3, image 3"]
    check_store(tmp_path / "out.h5", {image_id: content[image_id] for image_id in (0, 1, 4, 5)})
