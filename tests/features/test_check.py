from __future__ import annotations

import h5py
import numpy as np
import pytest
from vqa_gs.features.check import check, render
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError


def test_a_healthy_store(make_store):
    path, content = make_store(dtype="float32")
    steps = []
    report = check(path, {"questions.json": [3, 1, 3]}, lambda done, total: steps.append((done, total)))
    assert (report.problems, report.warnings) == ([], [])
    assert report.notes == ["questions.json: 2 of 2 images are in the store"]
    assert steps[-1] == (11, 11)
    values = np.concatenate([image[0] for image in content.values()]).astype(np.float64)
    expected = {
        "mean": values.mean(),
        "standard deviation": values.std(),
        "smallest": values.min(),
        "largest": values.max(),
        "mean length": np.linalg.norm(values, axis=1).mean(),
        "zeros": 0.0,
    }
    for name, number in expected.items():
        assert report.statistics[name] == pytest.approx(number, rel=1e-5)
    text = render(report)
    assert "ok: questions.json: 2 of 2" in text


def _poke(path, name, where, value):
    with h5py.File(path, "r+") as file:
        file[name][where] = value


def test_everything_wrong_is_counted_and_named(make_store):
    path, _ = make_store(counts=(2, 5, 1, 3), dtype="float32")
    _poke(path, "regions/features", (1, 3), np.nan)
    _poke(path, "regions/features", (4, 0), np.inf)
    _poke(path, "regions/features", 7, 0)
    _poke(path, "regions/boxes", (8, slice(None)), [0, 0, 1e4, 5])
    _poke(path, "regions/boxes", (9, slice(None)), [5, 5, 2, 9])
    _poke(path, "regions/boxes", (10, 0), np.nan)
    report = check(path, {"q.json": [3, 4, 5], "text.json": ["3"]})
    problems = "\n".join(report.problems)
    assert "2 regions hold NaN or infinity: image 3, 1" in problems
    assert "the content was changed or damaged" in problems
    assert "1 boxes hold NaN or infinity: image 20" in problems
    assert "1 boxes end before they begin: image 20" in problems
    assert "1 boxes leave their image by more than 1 pixel: image 20" in problems
    assert "q.json: 1 of 3 images are in the store; not 4, 5" in problems
    assert "text.json: 0 of 1 images are in the store; not '3', whose ids are of another kind" in problems
    assert report.warnings == ["1 regions are zero vectors: image 70"]
    assert len(report.problems) == 7
    assert render(report).count("problem: ") == 7


def test_large_numbers_are_no_problem(tmp_path):
    with RegionStoreWriter(tmp_path / "x.h5", dim=2, dtype="float32", fingerprint="") as writer:
        writer.add(1, np.array([[3e38, -3e38]], np.float32), np.array([[0, 0, 1, 1]]), (1, 1))
    report = check(tmp_path / "x.h5")
    assert report.problems == []
    assert report.statistics["largest"] == pytest.approx(3e38, rel=1e-6)


def test_flat_boxes_and_columns(tmp_path):
    with RegionStoreWriter(
        tmp_path / "x.h5", dim=2, dtype="float32", fingerprint="", columns=("class", "class_score")
    ) as writer:
        columns = {"class": np.array([4, 4]), "class_score": np.array([0.25, 0.75], np.float32)}
        boxes = np.array([[0, 0, 10, 10], [3, 3, 3, 9]])
        writer.add(1, np.ones((2, 2), np.float32), boxes, (20, 10), columns)
    report = check(tmp_path / "x.h5")
    assert report.warnings == ["1 boxes have no area"]
    assert report.statistics["box area of the image"] == pytest.approx(0.25)
    assert report.statistics["different class ids"] == 1
    assert report.statistics["mean class_score"] == 0.5


def test_ids_that_occur_twice_are_named(make_store):
    path, _ = make_store()
    _poke(path, "images/id", 2, 3)
    with pytest.raises(DataError, match=r"store\.h5: image 3: the image id occurs twice"):
        check(path)
    with pytest.raises(DataError, match="no such region store"):
        check(path.with_name("absent.h5"))


def test_a_changed_column_changes_the_hash(tmp_path):
    path = tmp_path / "x.h5"
    with RegionStoreWriter(path, dim=2, dtype="float16", fingerprint="", columns=("class",)) as writer:
        writer.add(1, np.ones((2, 2), np.float32), np.array([[0, 0, 1, 1]] * 2), (2, 2), {"class": np.array([1, 2])})
    assert check(path).problems == []
    assert RegionStore(path)[1].columns["class"].tolist() == [1, 2]
    _poke(path, "regions/class", 1, 3)
    assert "the content was changed" in check(path).problems[0]


def test_zeros_of_either_sign_and_numbers_whose_squares_vanish(tmp_path):
    rows = np.array([[0.0, -0.0], [1e-30, -1e-30], [2.0, -0.0]], np.float32)
    with RegionStoreWriter(tmp_path / "x.h5", dim=2, dtype="float32", fingerprint="") as writer:
        writer.add(1, rows, np.array([[0, 0, 1, 1]] * 3), (1, 1))
    report = check(tmp_path / "x.h5")
    assert report.warnings == ["1 regions are zero vectors: image 1"]
    assert report.statistics["zeros"] == pytest.approx(0.5)
    assert report.statistics["mean length"] == pytest.approx((np.sqrt(2) * 1e-30 + 2) / 3)
