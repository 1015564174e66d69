from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from vqa_gs.features.convert import convert
from vqa_gs.features.recognise import detect_format
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("with_info", [False, True])
def test_npz_in_both_orientations(files, same, tmp_path, transposed, with_info):
    images = files.content((9, 25, 30), (3, 1, 5), with_detections=with_info)
    folder = files.write_npz(tmp_path / "x", images, transposed, with_info, "COCO_train2014_{:012d}.jpg.npz")
    assert detect_format(folder) == "npz"
    summary = convert(folder, tmp_path / "out.h5")
    assert summary.images == 3
    same(tmp_path / "out.h5", images)
    single = convert(folder / "COCO_train2014_000000000025.jpg.npz", tmp_path / "one.h5")
    assert single.images == 1


def test_npz_where_the_shape_alone_does_not_tell(files, same, tmp_path):
    images = files.content((1, 2), (6, 4), dim=6)
    convert(files.write_npz(tmp_path / "x", images, with_info=False), tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)


def test_npz_without_boxes_or_sizes(files, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    features = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.savez(folder / "5.npz", x=features.T, num_bbox=2)
    summary = convert(folder, tmp_path / "out.h5")
    assert "no boxes" in summary.notes[0]
    assert (RegionStore(tmp_path / "out.h5")[5].features == features).all()
    boxes = np.array([[0, 0, 3, 4], [1, 1, 7.5, 2]], np.float32)
    np.savez(folder / "5.npz", x=features, bbox=boxes)
    summary = convert(folder, tmp_path / "out.h5")
    assert "no image sizes" in summary.notes[0]
    assert RegionStore(tmp_path / "out.h5")[5].size.tolist() == [8, 4]


def _bad_archives(features):
    class Attack:
        def __reduce__(self):
            return print, ("attacked",)

    good = {"x": features, "bbox": np.zeros((2, 4), np.float32), "image_w": 5, "image_h": 5}
    yield "no array x", {"bbox": good["bbox"]}
    yield "does not fit 2 boxes", good | {"x": np.zeros((3, 6), np.float32)}
    yield "num_bbox says 7", good | {"num_bbox": 7}
    yield "boxes of shape", good | {"bbox": np.zeros((2, 5), np.float32)}
    yield "no whole number", good | {"image_w": 5.5}
    yield "not allowed", good | {"info": np.array(Attack(), dtype=object)}
    yield "not allowed", good | {"x": np.array([Attack()], dtype=object)}
    yield "NaN", good | {"x": np.full((2, 6), np.nan, np.float32)}
    yield "a box holds NaN", good | {"bbox": np.full((2, 4), np.inf, np.float32)}


def test_damaged_archives_are_named_and_may_be_skipped(files, same, tmp_path, capfd):
    images = files.content((1, 3), (2, 3))
    folder = files.write_npz(tmp_path / "x", images, with_info=False)
    for problem, parts in _bad_archives(np.ones((2, 6), np.float32)):
        np.savez(folder / "2.npz", **parts)
        with pytest.raises(DataError, match=rf"2\.npz[:,] image 2: .*{problem}"):
            convert(folder, tmp_path / "out.h5")
        assert len(convert(folder, tmp_path / "out.h5", on_error="skip").skipped) == 1
        same(tmp_path / "out.h5", images)
    whole = (folder / "1.jpg.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        (folder / "2.npz").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"2\.npz: image 2: not readable"):
            convert(folder, tmp_path / "out.h5")
    assert "attacked" not in capfd.readouterr().out


def test_an_archive_that_unpacks_to_too_much(files, tmp_path, monkeypatch):
    from vqa_gs.features.formats import npz

    monkeypatch.setattr(npz, "LARGEST_FILE", 100_000)
    folder = files.write_npz(tmp_path / "x", files.content((1,), (2,)), with_info=False)
    with zipfile.ZipFile(folder / "0.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        content = io.BytesIO()
        np.save(content, np.zeros(100_000, np.float32))
        archive.writestr("x.npy", content.getvalue())
    with pytest.raises(DataError, match=r"0\.npz: image 0: .*unpacks to more than"):
        convert(folder, tmp_path / "out.h5")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("arrays", [False, True])
def test_pth_of_rubi_and_css(files, same, tmp_path, legacy, arrays):
    images = files.content((9, 25), (3, 3))
    folder = files.write_pth(tmp_path / "rubi", images, legacy, arrays)
    assert detect_format(folder) == "pth"
    assert convert(folder, tmp_path / "out.h5").notes == []
    same(tmp_path / "out.h5", images)
    folder = files.write_pth(tmp_path / "css", images, legacy, arrays, rubi=False)
    assert "no boxes" in convert(folder, tmp_path / "out.h5").notes[0]
    same(tmp_path / "out.h5", images, with_boxes=False)


def test_pth_saved_by_python_2(tmp_path):
    # The legacy layout: magic number, protocol, system, then the object; here with the pickle Python 2 wrote for a
    # NumPy array, whose bytes are a str of that language.
    features = np.arange(6, dtype="<f4").reshape(2, 3) - 2.5
    raw = features.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07"
        b"(K\x01K\x02K\x03\x86q\x08cnumpy\ndtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c"
        b"(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89"
        b"U" + bytes([len(raw)]) + raw + b"q\x0ftq\x10b"
    )
    body = b"\x80\x02}q\x00U\rimage_featureq\x01" + array + b"s."
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "42.pth").write_bytes(b"".join(head) + body + pickle.dumps([], 2))
    convert(tmp_path / "x", tmp_path / "out.h5")
    assert (RegionStore(tmp_path / "out.h5")[42].features == features).all()


def test_damaged_pth_are_named_and_never_run(files, same, tmp_path, capfd):
    class Attack:
        def __reduce__(self):
            return print, ("attacked",)

    images = files.content((1, 3), (2, 2))
    folder = files.write_pth(tmp_path / "x", images)
    bad = [
        ("neither image_feature", {"other": 1}),
        ("a dictionary was expected", [1]),
        ("a tensor or an array was expected", {"image_feature": "text"}),
        ("contradict", {"pooled_feat": torch.ones(1, 6), "rois": torch.ones(1, 4), "norm_rois": torch.rand(1, 4) * 9}),
        ("is not allowed", {"image_feature": Attack()}),
    ]
    for problem, saved in bad:
        torch.save(saved, folder / "2.pth")
        with pytest.raises(DataError, match=rf"2\.pth: image 2: .*{problem}"):
            convert(folder, tmp_path / "out.h5")
        assert len(convert(folder, tmp_path / "out.h5", on_error="skip").skipped) == 1
        same(tmp_path / "out.h5", images)
    assert "attacked" not in capfd.readouterr().out


@pytest.mark.parametrize("suffix", [".bin", ".data"])
def test_raw_numbers(files, same, tmp_path, suffix):
    images = files.content((9, 25), (3, 2), dim=2048)
    folder = files.write_bin(tmp_path / "x", images, suffix)
    assert detect_format(folder) == "bin"
    summary = convert(folder, tmp_path / "out.h5")
    assert "taken as regions of 2048" in summary.notes[0]
    same(tmp_path / "out.h5", images, with_boxes=False)
    (folder / f"7{suffix}").write_bytes(b"1234567")
    with pytest.raises(DataError, match=r"image 7: .*7 bytes are no regions of 2048"):
        convert(folder, tmp_path / "out.h5")


def test_folders_below_and_ids_twice(files, same, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    one, other = files.content((1, 2), (2, 2)), files.content((3,), (2,), seed=1)
    files.write_npz(folder / "train", one, with_info=False)
    files.write_npz(folder / "val", other, with_info=False)
    convert(folder, tmp_path / "out.h5")
    same(tmp_path / "out.h5", {**one, **other})
    files.write_npz(folder / "val", {2: other[3]}, with_info=False)
    with pytest.raises(DataError, match="image 2: the image occurs twice"):
        convert(folder, tmp_path / "out.h5")


def test_an_empty_folder_is_no_source(tmp_path):
    with pytest.raises(DataError, match="a folder without files of a known feature format"):
        convert(tmp_path, tmp_path / "out.h5")
    with pytest.raises(DataError, match=r"no files \*\.npz in it"):
        convert(tmp_path, tmp_path / "out.h5", format="npz")


def test_the_fingerprint_depends_on_names_and_contents(files, tmp_path):
    folder = files.write_npz(tmp_path / "x", files.content((1, 2), (2, 2)), with_info=False)
    first = convert(folder, tmp_path / "a.h5").fingerprint
    assert convert(folder, tmp_path / "b.h5").fingerprint == first
    (folder / "2.jpg.npz").rename(folder / "3.jpg.npz")
    assert convert(folder, tmp_path / "c.h5").fingerprint != first
