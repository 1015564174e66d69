from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.convert import convert
from vqa_gs.features.naming import PictureFolder
from vqa_gs.features.show import draw, show
from vqa_gs.features.store import Regions
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError


def _store(path, image_id, boxes, size):
    with RegionStoreWriter(path, dim=1, dtype="float32", fingerprint="") as writer:
        writer.add(image_id, np.ones((len(boxes), 1), np.float32), np.array(boxes, np.float32), size)
    return path


def test_boxes_are_drawn_where_they_are(tmp_path):
    (tmp_path / "val2014").mkdir()
    Image.new("RGB", (700, 650), "white").save(tmp_path / "val2014" / "COCO_val2014_000000000042.jpg")
    store = _store(tmp_path / "x.h5", 42, [[100, 200, 300, 400], [400, 50, 650, 600]], (700, 650))
    line = show(store, tmp_path, "42", tmp_path / "out.png")
    assert line.startswith(f"{tmp_path}/out.png: 2 of 2 boxes on ")
    drawn = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
    assert drawn.shape == (650, 700, 3)
    is_white = (drawn > 235).all(2)
    for x1, y1, x2, y2 in ([100, 200, 300, 400], [400, 50, 650, 600]):
        for x, y in ((x1, y2 - 50), (x2, y2 - 50), (x2 - 20, y1), (x2 - 20, y2)):
            assert not is_white[y - 1 : y + 2, x - 1 : x + 2].all()
        assert is_white[(y1 + y2) // 2 + 20, (x1 + x2) // 2]
    assert is_white[20, 20]
    show(store, tmp_path, "COCO_val2014_000000000042", tmp_path / "one.png", top=1)
    one = np.asarray(Image.open(tmp_path / "one.png")).astype(int)
    assert (one[300:, 380:] > 235).all()


def test_boxes_are_scaled_where_sizes_differ_and_small_pictures_enlarged(tmp_path):
    Image.new("RGB", (50, 100), "white").save(tmp_path / "a.png")
    store = _store(tmp_path / "x.h5", "a", [[0, 0, 100, 50]], (100, 50))
    line = show(store, tmp_path, "a", tmp_path / "out.png")
    assert "which has 50 x 100 pixels, in the store 100 x 50: boxes scaled" in line
    drawn = Image.open(tmp_path / "out.png")
    assert drawn.size == (200, 400)
    assert drawn.getpixel((199, 200)) != (255, 255, 255)
    assert drawn.getpixel((100, 200)) == (255, 255, 255)


def test_labels_tell_what_was_detected():
    columns = {"class": np.array([7]), "class_score": np.array([0.5], np.float32)}
    size = np.array([640, 640])
    boxes = np.array([[-50, 600, 900, 900]], np.float32)
    plain = draw(Image.new("RGB", (640, 640)), Regions(np.ones((1, 1)), boxes, size))
    named = draw(Image.new("RGB", (640, 640)), Regions(np.ones((1, 1)), boxes, size, columns))
    assert (np.asarray(named) != np.asarray(plain)).any()


def test_pictures_are_found_by_name(tmp_path):
    for name in ("000000000009.jpg", "sub/bild ü.PNG", "n578978.jpeg", "x_1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert PictureFolder(tmp_path).require(9).name == "000000000009.jpg"
    assert PictureFolder(tmp_path).require("bild ü").name == "bild ü.PNG"
    assert PictureFolder(tmp_path).require("n578978").name == "n578978.jpeg"
    with pytest.raises(DataError, match="image 'x_1': no picture of this image"):
        PictureFolder(tmp_path).require("x_1")
    with pytest.raises(DataError, match="no such folder"):
        PictureFolder(tmp_path / "absent")


def test_what_is_missing_is_one_line(tmp_path):
    store = _store(tmp_path / "x.h5", 42, [[0, 0, 1, 1]], (5, 5))
    with pytest.raises(DataError, match="image 7: the region store has no such image"):
        show(store, tmp_path, "7", tmp_path / "out.png")
    with pytest.raises(DataError, match="no images in this folder"):
        show(store, tmp_path, "42", tmp_path / "out.png")
    (tmp_path / "42.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"42\.jpg: not a readable image"):
        show(store, tmp_path, "42", tmp_path / "out.png")
    with pytest.raises(UsageError, match="no boxes to draw"):
        show(store, tmp_path, "42", tmp_path / "out.png", top=0)
    assert not (tmp_path / "out.png").exists()


def test_real_boxes_on_a_real_picture(shared_data, tmp_path):
    convert(shared_data("butd-10/train2014_obj36.tsv"), tmp_path / "x.h5")
    show(tmp_path / "x.h5", shared_data("butd-10/images"), "84002", tmp_path / "out.png")
    drawn = Image.open(tmp_path / "out.png")
    assert drawn.format == "PNG"
    with Image.open(shared_data("butd-10/images/COCO_train2014_000000084002.jpg")) as original:
        assert drawn.width / drawn.height == pytest.approx(original.width / original.height, rel=0.01)
