from __future__ import annotations

import numpy as np
import pytest
from vqa_gs.features.diff import diff
from vqa_gs.features.naming import Naming
from vqa_gs.features.rename import rename
from vqa_gs.features.stats import facts, stats
from vqa_gs.features.stats_page import page
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError

BOX = [[0, 0, 9, 9]]


def write(path, images, dim=3, dtype="float32", size=(10, 10)):
    """Writes {id: rows}, a box for all of an image's regions."""
    with RegionStoreWriter(path, dim=dim, dtype=dtype, fingerprint="made up") as writer:
        for image_id, rows in images.items():
            values = np.array(rows, np.float32)
            writer.add(image_id, values, np.tile(np.array(BOX, np.float32), (len(values), 1)), size)
    return path


def test_statistics_are_those_of_the_numbers(make_store):
    path, content = make_store(ids=tuple(range(40)), counts=(3, 1, 4, 2) * 10, dim=8, dtype="float32")
    found = stats(path)
    rows = np.concatenate([features for features, _, _ in content.values()])
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    np.testing.assert_allclose(found.lengths, np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1)), rtol=1e-5)
    assert (found.images, found.regions, found.counts) == (40, 100, {1: 10, 2: 10, 3: 10, 4: 10})
    assert found.dead == found.broken == found.duplicates == []
    means = {i: np.linalg.norm(features, axis=1).mean() for i, (features, _, _) in content.items()}
    middle = np.median(list(means.values()))
    assert found.outliers[0][0] == max(means, key=lambda i: abs(means[i] - middle))


def test_dead_dimensions_duplicates_and_boxes_outside(tmp_path):
    images = {1: [[1, 5, 2]], 2: [[3, 5, 4], [1, 5, 2]], 3: [[1, 5, 2]], 4: [[9, 5, 2]]}
    path = write(tmp_path / "x.h5", images, size=(10, 7))
    found = stats(path)
    assert found.dead == [1]
    assert found.duplicates == [[1, 3]]
    assert found.outside == [1, 2, 3, 4]
    told = dict(facts(found))
    assert told["dead dimensions"] == "1 of 3: 1"
    assert told["same features"] == "1 groups of images: 1 = 3"


def test_images_in_pieces_are_hashed_whole(tmp_path, monkeypatch):
    images = {1: np.ones((5, 3)), 2: np.ones((6, 3)), 3: np.ones((5, 3))}
    path = write(tmp_path / "x.h5", images)
    whole = [block.copy() for _, block in RegionStore(path).blocks()]
    rows = np.concatenate(whole)
    monkeypatch.setattr(RegionStore, "blocks", lambda self: ((low, rows[low : low + 4]) for low in range(0, 16, 4)))
    assert stats(path).duplicates == [[1, 3]]


def test_nan_is_counted(tmp_path):
    path = write(tmp_path / "x.h5", {1: [[1, 2, 3]], 2: [[1, 2, 4]]})
    content = bytearray(path.read_bytes())
    place = content.index(np.array([1, 2, 4], np.float32).tobytes())
    content[place : place + 4] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    found = stats(path)
    assert found.broken == [2]
    assert np.isfinite(found.lengths).all()


def test_the_page_escapes_and_shows_pictures(tmp_path):
    path = write(tmp_path / "<x>.h5", {"<b>": [[1, 1, 1]], "c": [[2, 2, 2]], "d": [[9, 9, 9]]})
    found = stats(path)
    made = page(found, {"<b>": ("data:image/jpeg;base64,AA", 4, 3)})
    assert "<b>" not in made.replace("&lt;b&gt;", "")
    assert "<x>" not in made
    assert 'src="data:image/jpeg;base64,AA" width="4" height="3"' in made
    assert "Images that stand out" in made


def test_pictures_without_a_page_are_refused(make_store, tmp_path, capsys):
    path, _ = make_store()
    assert main(["features", "stats", str(path), "--image-dir", str(tmp_path)]) == 2
    assert "--image-dir is for the pictures of a page (give --html too, or leave it out)" in capsys.readouterr().err


def test_equal_stores_do_not_differ(make_store):
    path, _ = make_store()
    other, _ = make_store(name="other.h5")
    found = diff(path, other)
    assert (found.images, found.lines, found.different, found.first) == (4, [], 0, None)


def test_differences_are_found_wherever_images_lie(tmp_path):
    a = write(tmp_path / "a.h5", {1: [[1, 2, 3]], 2: [[4, 5, 6]], 3: [[7, 8, 9]], 5: [[0, 0, 0]]})
    b = write(tmp_path / "b.h5", {3: [[7, 8, 9]], 2: [[4, 5.5, 6]], 1: [[1, 2, 3]], 4: [[0, 0, 1]]})
    found = diff(a, b)
    assert (found.images, found.different, found.first, found.largest) == (3, 1, 2, 0.5)
    assert found.lines == [
        f"1 images are in {a} only: 5",
        f"1 images are in {b} only: 4",
        "1 of 3 images differ, the first: 2",
        "features: largest difference 0.5",
    ]
    c = write(tmp_path / "c.h5", {1: [[1, 2]]}, dim=2)
    assert "numbers a region: 3 and 2" in diff(a, c).lines
    d = write(tmp_path / "d.h5", {2: [[4, 5, 6]], 1: [[1, 2, 3], [0, 0, 0]]}, size=(11, 10))
    lines = diff(write(tmp_path / "e.h5", {1: [[1, 2, 3]], 2: [[4, 5, 6]]}), d).lines
    assert "the images are in another order" in lines
    assert "1 images have other numbers of regions" in lines
    assert "sizes: 2 images differ" in lines


def test_renaming_changes_ids_alone(tmp_path):
    path = write(tmp_path / "x.h5", {"image6": [[1, 2, 3]], "image12": [[4, 5, 6], [7, 8, 9]]}, dtype="float16")
    lines = rename(path, tmp_path / "out.h5", "number")
    assert lines == ["ids: 2 names became the number at their end ('image6' is 6)"]
    with RegionStore(path) as old, RegionStore(tmp_path / "out.h5") as new:
        assert new.image_ids == (6, 12)
        assert (new.fingerprint, new.dtype) == (old.fingerprint, old.dtype)
        assert (new[12].features == old["image12"].features).all()
    rename(tmp_path / "out.h5", tmp_path / "text.h5", "text")
    assert RegionStore(tmp_path / "text.h5").image_ids == ("6", "12")
    (tmp_path / "ids.csv").write_text("image6,60\nimage12,61\n")
    rename(path, tmp_path / "table.h5", str(tmp_path / "ids.csv"))
    assert RegionStore(tmp_path / "table.h5").image_ids == (60, 61)


def test_renaming_refuses_what_would_lose_images(tmp_path):
    path = write(tmp_path / "x.h5", {"a1": [[1, 2, 3]], "b1": [[4, 5, 6]], "9": [[4, 5, 6]]})
    with pytest.raises(DataError, match="images 'a1' and 'b1' would both be 1"):
        rename(path, tmp_path / "out.h5", "number")
    with pytest.raises(DataError, match=r"x\.h5: image 'nine': the name does not end in a number"):
        rename(write(tmp_path / "nine" / "x.h5", {"nine": [[1, 2, 3]]}), tmp_path / "out.h5", "number")
    with pytest.raises(UsageError, match="ids would be of two kinds"):
        rename(path, tmp_path / "out.h5", "auto")
    (tmp_path / "ids.csv").write_text("a1,60\n")
    with pytest.raises(DataError, match=r"ids\.csv: image 'b1': is not in the table"):
        rename(path, tmp_path / "out.h5", str(tmp_path / "ids.csv"))
    with pytest.raises(UsageError, match="would replace itself"):
        rename(path, path, "text")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("rule", "name", "untyped", "expected"),
    [
        ("auto", "image6", True, "image6"),
        ("auto", "6", True, 6),
        ("auto", "6", False, "6"),
        ("auto", "COCO_val2014_000000000042", False, 42),
        ("auto", "000000000042", True, 42),
        ("auto", "000000000042", False, "000000000042"),
        ("auto", 7, True, 7),
        ("text", 7, True, "7"),
        ("number", "synpic54610", True, 54610),
    ],
)
def test_one_rule_for_names(rule, name, untyped, expected):
    found = Naming(rule).id_of(name, untyped=untyped)
    assert (type(found), found) == (type(expected), expected)


def test_a_name_without_a_number_is_told():
    with pytest.raises(DataError, match="the name does not end in a number"):
        Naming("number").id_of("abc")
