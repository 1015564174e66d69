from __future__ import annotations

import base64
import binascii
import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vqa_gs.features.convert import convert
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading import tsv
from vqa_gs.features.recognise import detect_format
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import sha256_file


def test_six_columns_bit_by_bit(files, same, tmp_path):
    one = files.content((391895, 42), (3, 1))
    other = files.content((7, 8, 9), (10, 2, 5), seed=1)
    parts = [files.write_tsv(tmp_path / "a.tsv.0", one), files.write_tsv(tmp_path / "a.tsv.1", other)]
    summary = convert(parts, tmp_path / "out.h5")
    assert (summary.formats, summary.images, summary.dtype) == (["tsv", "tsv"], 5, "float32")
    assert summary.notes == []
    same(tmp_path / "out.h5", {**one, **other})
    assert [sha256_file(part) in summary.fingerprint for part in parts] == [True, True]


def test_ten_columns_keep_objects_and_attributes(files, same, tmp_path):
    names = ("COCO_train2014_000000000009", "COCO_val2014_000000391895")
    images = files.content(names, (4, 2), with_detections=True)
    source = files.write_tsv_10(tmp_path / "obj36.tsv", images)
    summary = convert(source, tmp_path / "out.h5")
    assert summary.formats == ["tsv-10"]
    assert summary.columns == ("class", "class_score", "attribute", "attribute_score")
    assert "2 COCO names became the numbers" in summary.naming[0]
    same(tmp_path / "out.h5", {9: images[names[0]], 391895: images[names[1]]})
    convert(source, tmp_path / "text.h5", ids="text")
    same(tmp_path / "text.h5", images)


def test_columns_that_not_all_sources_have_are_left_out(files, tmp_path):
    ten = files.write_tsv_10(tmp_path / "ten.tsv", files.content((1,), (4,), with_detections=True))
    six = files.write_tsv(tmp_path / "six.tsv", files.content((2,), (3,)))
    summary = convert([ten, six], tmp_path / "out.h5")
    assert summary.columns == ()
    assert "left out, as not all sources have it: class, class_score" in summary.notes[0]
    assert RegionStore(tmp_path / "out.h5").columns == ()


def test_the_real_file_is_its_base64_content(shared_data, tmp_path):
    source = shared_data("butd-10/train2014_obj36.tsv")
    convert(source, tmp_path / "out.h5")
    store = RegionStore(tmp_path / "out.h5")
    csv.field_size_limit(sys.maxsize)
    with open(source, newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert store.image_ids == tuple(int(row[0].rsplit("_", 1)[1]) for row in rows)
    for row in rows:
        found = store[int(row[0].rsplit("_", 1)[1])]
        assert found.features.astype("<f4").tobytes() == base64.b64decode(row[9])
        assert found.boxes.astype("<f4").tobytes() == base64.b64decode(row[8])
        assert found.size.tolist() == [int(row[2]), int(row[1])]
        ids = [np.frombuffer(base64.b64decode(row[place]), "<i8") for place in (3, 5)]
        scores = [np.frombuffer(base64.b64decode(row[place]), "<f4") for place in (4, 6)]
        columns = found.columns
        assert (columns["class"] == ids[0]).all()
        assert (columns["attribute"] == ids[1]).all()
        assert (columns["class_score"] == scores[0]).all()
        assert (columns["attribute_score"] == scores[1]).all()


def _damage(row: list[bytes], kind: str) -> bytes:
    if kind == "truncated":
        return b"\t".join(row)[:-7]
    if kind == "cut":
        return b"\t".join(row[:4])
    if kind == "wrong length":
        row[5] = base64.b64encode(base64.b64decode(row[5])[:-8])
    if kind == "not base64":
        row[5] = row[5][:9] + b"!" + row[5][10:]
    if kind == "NaN":
        values = np.frombuffer(base64.b64decode(row[5]), "<f4").copy()
        values[3] = np.nan
        row[5] = base64.b64encode(values.tobytes())
    if kind == "boxes":
        row[4] = row[4][:-4]
    if kind == "number":
        row[3] = b"many"
    if kind == "size":
        row[1] = b"0"
    if kind == "duplicate":
        row[0] = b"11"
    if kind == "no regions":
        row[3:] = [b"0", b"", b""]
    return b"\t".join(row)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("truncated", r"features: (truncated|\d+ bytes instead)"),
        ("cut", "4 fields instead of 6"),
        ("wrong length", r"features: \d+ bytes instead of \d+, 3 x 6 float32"),
        ("not base64", "features: truncated or damaged base64"),
        ("NaN", "region 0 holds NaN"),
        ("boxes", r"boxes: \d+ bytes instead of 48 or 96"),
        ("number", "num_boxes is 'many'"),
        ("size", "image_w is '0'"),
        ("duplicate", "the image occurs twice"),
        ("no regions", "has no regions"),
    ],
)
def test_damaged_rows_are_named_and_may_be_skipped(files, same, tmp_path, kind, problem):
    images = files.content((11, 22, 33), (2, 3, 4))
    source = files.write_tsv(tmp_path / "x.tsv", images)
    rows = source.read_bytes().split(b"\r\n")
    rows[1] = _damage(rows[1].split(b"\t"), kind)
    source.write_bytes(b"\r\n".join(rows))
    image = 11 if kind == "duplicate" else 22
    with pytest.raises(DataError, match=rf"x\.tsv: row 1 \(line 2\), image {image}: {problem}") as caught:
        convert(source, tmp_path / "out.h5")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()
    summary = convert(source, tmp_path / "out.h5", on_error="skip")
    assert len(summary.skipped) == 1
    assert f"x.tsv: row 1 (line 2), image {image}: " in summary.skipped[0]
    del images[22]
    same(tmp_path / "out.h5", images)


def test_a_download_that_was_cut_off(files, same, tmp_path):
    images = files.content(range(5), (3,) * 5)
    source = files.write_tsv(tmp_path / "x.tsv", images)
    whole = source.read_bytes()
    last = len(whole[: whole[:-2].rfind(b"\n") + 1])
    del images[4]
    for size in range(last + 1, len(whole) - 2, 7):
        source.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"row 4 \(line 5\)"):
            convert(source, tmp_path / "out.h5")
        assert len(convert(source, tmp_path / "out.h5", on_error="skip").skipped) == 1
    same(tmp_path / "out.h5", images)


def test_nothing_but_damage_is_an_error(files, tmp_path):
    source = files.write_tsv(tmp_path / "x.tsv", files.content((1, 2), (3, 3)))
    source.write_bytes(source.read_bytes().replace(b"\t3\t", b"\t4\t"))
    with pytest.raises(DataError, match=r"row 0 \(line 1\), image 1"):
        convert(source, tmp_path / "out.h5", on_error="skip")
    nan = files.content((1,), (3,))
    nan[1]["features"][:] = np.nan
    with pytest.raises(DataError, match="all 1 images are damaged: .*row 0"):
        convert(files.write_tsv(tmp_path / "nan.tsv", nan), tmp_path / "out.h5", on_error="skip")
    (tmp_path / "empty.tsv").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        convert(tmp_path / "empty.tsv", tmp_path / "out.h5", format="tsv")
    assert not (tmp_path / "out.h5").exists()


def test_variants_that_are_met(files, same, tmp_path):
    images = files.content((1, 2, 3), (2, 3, 1))
    source = files.write_tsv(tmp_path / "x.tsv", images)
    rows = [row.split(b"\t") for row in source.read_bytes().split(b"\r\n")[:-1]]
    boxes = np.frombuffer(base64.b64decode(rows[1][4]), "<f4")
    rows[0][4:] = [b"b'" + field + b"'" for field in rows[0][4:]]  # bytes written as text by Python 3
    rows[1][4] = base64.b64encode(boxes.astype("<f8").tobytes())
    rows[2][0] = b'"3"'
    source.write_bytes(b"\n".join(b"\t".join(row) for row in rows) + b"\n\n")
    assert detect_format(source) == "tsv"
    convert(source, tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)


def test_ids_that_are_no_numbers_stay_text(files, same, tmp_path):
    images = files.content(("n578978", "007", "000000000139_1"), (1, 2, 1))
    convert(files.write_tsv(tmp_path / "x.tsv", images), tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)
    mixed = files.write_tsv(tmp_path / "mixed.tsv", files.content(("2354786", "n578978"), (1, 1)))
    with pytest.raises(DataError, match=r"row 1 .*cannot be mixed .*\(make all ids of one kind"):
        convert(mixed, tmp_path / "mixed.h5")
    convert(mixed, tmp_path / "mixed.h5", ids="text")
    assert RegionStore(tmp_path / "mixed.h5").image_ids == ("2354786", "n578978")


def test_a_row_without_an_end_is_bounded(files, same, tmp_path, monkeypatch):
    monkeypatch.setattr(tsv, "LONGEST_ROW", 3000)
    monkeypatch.setattr(tsv, "_BUFFER", 500)
    images = files.content((1, 2), (2, 2))
    source = files.write_tsv(tmp_path / "x.tsv", images)
    source.write_bytes(source.read_bytes() + b"A" * 10_000 + b"\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\), image A+\.\.\. \(1,022 characters\): more than"):
        convert(source, tmp_path / "out.h5")
    assert len(convert(source, tmp_path / "out.h5", on_error="skip").skipped) == 4
    same(tmp_path / "out.h5", images)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bcdefghij" * 3, b"\t"]), max_size=40).map(b"".join),
    buffer=st.integers(1, 60),
)
def test_rows_are_the_lines_of_the_file(tmp_path, text, buffer):
    path = tmp_path / "rows"
    path.write_bytes(text)
    old, tsv._BUFFER = tsv._BUFFER, buffer
    try:
        reads: list[int] = []
        rows = [bytes(piece[start:stop]) for piece, start, stop in tsv.rows_of(path, reads.append)]
    finally:
        tsv._BUFFER = old
    expected = text.split(b"\n")
    if not expected[-1]:
        expected.pop()
    ends = [row.removesuffix(b"\r") for row in expected]
    # A carriage return at the end of a file without a last line feed stays.
    if text and not text.endswith(b"\n"):
        ends[-1] = expected[-1]
    assert rows == ends
    assert sum(reads) == len(text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=40),
    cut=st.integers(0, 5),
    odd=st.sampled_from([b"", b"\n", b" ", b"=", b"*", b"\xff"]),
    place=st.integers(0, 60),
)
def test_both_decoders_decode_alike(content, cut, odd, place):
    pytest.importorskip("pybase64", reason="the fast extra is not installed")
    text = base64.b64encode(content)
    text = text[: len(text) - cut]
    text = text[:place] + odd + text[place:]

    def outcome(decode):
        try:
            return decode(text)
        except binascii.Error as error:
            return str(error)

    assert outcome(tsv.decode_base64) == outcome(binascii.a2b_base64)
    if not cut and not odd:
        assert tsv.decode_base64(text) == content


def test_formats_are_told_apart(files, tmp_path):
    images = files.content((1, 2), (2, 2), with_detections=True)
    six, ten = files.write_tsv(tmp_path / "a", images), files.write_tsv_10(tmp_path / "b", images)
    assert [detect_format(path) for path in (six, ten)] == ["tsv", "tsv-10"]
    assert not FORMATS["tsv"].detect(Path(tmp_path))
    six.write_bytes(b"garbage\n" + six.read_bytes())
    assert detect_format(six) == "tsv"
