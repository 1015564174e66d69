from __future__ import annotations

import pytest
from vqa_gs.features.convert import convert
from vqa_gs.features.formats import lmdb_records
from vqa_gs.features.recognise import detect_format

from vqa_gs.common.errors import DataError

pytest.importorskip("lmdb", reason="the lmdb extra is not installed")


@pytest.mark.parametrize("subdir", [True, False])
def test_mmf_bit_by_bit(files, same, tmp_path, subdir):
    images = files.content((9, 25, 30), (3, 1, 5), with_detections=True)
    for image in images.values():
        del image["columns"]["attribute"], image["columns"]["attribute_score"]
    records = {b"COCO_train2014_%012d" % i: files.mmf_record(image) for i, image in images.items()}
    source = files.write_lmdb(tmp_path / "x.lmdb", records, subdir=subdir)
    assert detect_format(source) == "lmdb"
    summary = convert(source, tmp_path / "out.h5")
    assert summary.columns == ("class", "class_score")
    same(tmp_path / "out.h5", images)


def test_mmf_regions_that_only_fill_up(files, same, tmp_path):
    images = files.content((1, 2), (3, 4))
    source = files.write_lmdb(
        tmp_path / "x", {b"%d" % i: files.mmf_record(image, filled_to=8) for i, image in images.items()}
    )
    convert(source, tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)


def test_volta_bit_by_bit(files, same, tmp_path):
    images = files.content((9, 25), (3, 2))
    records = {b"%d" % i: files.volta_record(i, image) for i, image in images.items()}
    convert(files.write_lmdb(tmp_path / "x", records, listed=[9, 25]), tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)


def test_damaged_records_are_named_and_may_be_skipped(files, same, tmp_path, capfd):
    class Attack:
        def __reduce__(self):
            return print, ("attacked",)

    images = files.content((1, 3), (2, 2))
    good = {b"%d" % i: files.mmf_record(image) for i, image in images.items()}
    bad = [
        ("no dictionary", [1, 2]),
        ("not readable", b"\x80\x04garbage"),
        ("not allowed", Attack()),
        ("num_boxes says 9", files.mmf_record(images[1]) | {"num_boxes": 9}),
        ("boxes of shape", files.mmf_record(images[1]) | {"bbox": images[3]["boxes"][:, :2]}),
        ("base64", files.volta_record(2, images[1]) | {"features": b"AAAAA"}),
    ]
    for number, (problem, record) in enumerate(bad):
        source = files.write_lmdb(tmp_path / f"{number}", good | {b"2": record})
        with pytest.raises(DataError, match=rf"image 2: .*{problem}"):
            convert(source, tmp_path / "out.h5")
        assert len(convert(source, tmp_path / "out.h5", on_error="skip").skipped) == 1
        same(tmp_path / "out.h5", images)
    assert "attacked" not in capfd.readouterr().out


def test_what_is_listed_must_be_there(files, same, tmp_path):
    images = files.content((1, 3), (2, 2))
    records = {b"%d" % i: files.mmf_record(image) for i, image in images.items()}
    source = files.write_lmdb(tmp_path / "x", records, listed=[b"1", b"2", b"3"])
    with pytest.raises(DataError, match="image 2: listed in the database but not in it"):
        convert(source, tmp_path / "out.h5")
    assert len(convert(source, tmp_path / "out.h5", on_error="skip").skipped) == 1
    same(tmp_path / "out.h5", images)


def test_a_truncated_database_ends_in_one_line(files, tmp_path):
    images = files.content(range(40), (30,) * 40, dim=64)
    source = files.write_lmdb(tmp_path / "x", {b"%d" % i: files.mmf_record(image) for i, image in images.items()})
    data = source / "data.mdb"
    whole = data.read_bytes()
    # LMDB reads behind the end of the file here, and the process that does it dies.
    for size in (100, 5000, len(whole) // 2, len(whole) - 4096):
        data.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"LMDB (ended|cannot open it)"):
            convert(source, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_without_the_package_the_message_says_which_to_install(files, tmp_path, monkeypatch):
    source = files.write_lmdb(tmp_path / "x", {b"1": files.mmf_record(files.content((1,), (2,))[1])})
    monkeypatch.setattr(lmdb_records, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs the package lmdb \(pip install lmdb\)"):
        convert(source, tmp_path / "out.h5")
