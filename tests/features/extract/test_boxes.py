from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from vqa_gs.features.extract.boxes import SOURCES, BoxSettings, load_boxes
from vqa_gs.features.extract.boxes.grid import grid_shape
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.suppression import select_regions, suppress
from vqa_gs.features.geometry import box_iou
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError


@given(st.text(alphabet="0123456789- ", max_size=9))
def test_limits_are_a_number_or_a_range(text):
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if match and 1 <= int(match[1]) <= int(match[2] or match[1]):
        limits = RegionLimits.parse(text)
        assert (limits.low, limits.high) == (int(match[1]), int(match[2] or match[1]))
        assert RegionLimits.parse(str(limits)) == limits
    else:
        with pytest.raises(UsageError, match="no number of regions"):
            RegionLimits.parse(text)


@given(st.integers(0, 300))
def test_grids_are_the_largest_of_their_kind(cells):
    short, long = grid_shape(cells)
    allowed = [(a, b) for a in range(1, cells + 1) for b in range(a, 2 * a + 1) if 1 < a * b <= cells]
    assert short * long == max((a * b for a, b in allowed), default=0)
    assert (short, long) in allowed or not allowed


def test_a_grid_fills_the_number_asked_for():
    assert [grid_shape(n - 1) for n in (10, 36, 100)] == [(3, 3), (5, 7), (9, 11)]
    source = load_boxes("grid", BoxSettings(RegionLimits(36, 36)))
    wide, tall = (source(1, Image.new("RGB", size)).boxes for size in ((70, 50), (50, 70)))
    assert wide.shape == tall.shape == (36, 4)
    assert wide[0].tolist() == [0, 0, 70, 50]
    assert np.unique(wide[1:, 2:] - wide[1:, :2], axis=0).tolist() == [[10, 10]]
    assert np.unique(tall[1:, 2:] - tall[1:, :2], axis=0).tolist() == [[10, 10]]


def transcribed(boxes, scores, low, high, threshold=0.2, overlap=0.3):
    """`generate_tsv.py` of bottom-up-attention, its lines one by one, with a greedy suppression of its own."""

    def nms(confidence):
        left, kept = list(np.argsort(-confidence, kind="stable")), []
        while left:
            one = left.pop(0)
            kept.append(one)
            left = [other for other in left if box_iou(boxes[one : one + 1], boxes[other : other + 1])[0, 0] <= overlap]
        return kept

    max_conf = np.zeros(len(boxes), np.float32)
    for column in scores.T:
        for kept in nms(column):
            max_conf[kept] = max(max_conf[kept], column[kept])
    keep = [i for i in range(len(boxes)) if max_conf[i] >= threshold]
    ranked = list(np.argsort(-max_conf, kind="stable"))
    if len(keep) < low:
        return ranked[:low]
    return ranked[:high] if len(keep) > high else keep


@pytest.mark.parametrize(("low", "high"), [(36, 36), (10, 100), (3, 8), (1, 2), (200, 300)])
def test_the_bottom_up_recipe(low, high):
    rng = np.random.default_rng(low)
    for spread in (1.0, 3.0, 6.0):
        corners = rng.uniform(0, 80, (60, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (60, 2))], 1).astype(np.float32)
        logits = torch.from_numpy(rng.normal(0, spread, (60, 7)).astype(np.float32))
        scores = logits.softmax(1)[:, 1:]
        kept = select_regions(torch.from_numpy(boxes), scores, RegionLimits(low, high))
        assert kept.tolist() == transcribed(boxes, scores.numpy(), low, high)


def test_suppression_keeps_the_first_of_those_that_overlap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 9]], np.float32)
    assert suppress(boxes, 0.5, 9).tolist() == [0, 2]
    assert suppress(boxes, 0.85, 9).tolist() == [0, 1, 2]
    assert suppress(boxes, 1.0, 2).tolist() == [0, 1]
    assert suppress(boxes[:0], 0.5, 9).tolist() == []


def drawn():
    image = Image.new("RGB", (480, 320), (90, 120, 160))
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 40, 160, 200), fill=(220, 30, 30))
    pen.ellipse((280, 100, 420, 240), fill=(30, 200, 60))
    return image


def test_selective_search_finds_what_hangs_together():
    pytest.importorskip("cv2.ximgproc")
    source = load_boxes("selective-search", BoxSettings(RegionLimits(10, 20)))
    boxes = source(1, drawn()).boxes
    assert 2 <= len(boxes) <= 20
    truth = np.array([[40, 40, 161, 201], [280, 100, 421, 241]], np.float32)
    assert (box_iou(truth, boxes).max(1) > 0.8).all()
    for _ in range(3):
        assert (source(1, drawn()).boxes == boxes).all()


def test_edge_boxes_need_their_model(tmp_path):
    pytest.importorskip("cv2.ximgproc")
    with pytest.raises(UsageError, match="--edge-model"):
        load_boxes("edge-boxes", BoxSettings())
    with pytest.raises(DataError, match="no such structured edge model"):
        load_boxes("edge-boxes", BoxSettings(model=tmp_path / "model.yml.gz"))
    (tmp_path / "model.yml").write_text("%YAML:1.0\n---\nnothing: 1\n")
    with pytest.raises(DataError, match=r"model\.yml: not readable as a model"):
        load_boxes("edge-boxes", BoxSettings(model=tmp_path / "model.yml"))


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def instances(tmp_path):
    # A crowd of two pixels columns 2 and 3 of an image of 5 x 4, in COCO's uncompressed run lengths (by columns).
    crowd = {"size": [4, 5], "counts": [8, 8, 4]}
    content = {
        "images": [
            {"id": 1, "width": 30, "height": 20},
            {"id": 2, "width": 5, "height": 4},
            {"id": 3, "width": 9, "height": 9},
        ],
        "categories": [{"id": 7, "name": "x"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "iscrowd": 0, "area": 4, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 1, "category_id": 9, "iscrowd": 0, "area": 4, "bbox": [20, 10, 50, 50]},
            {"id": 3, "image_id": 1, "category_id": 5, "iscrowd": 0, "area": 4, "segmentation": square(4, 5, 2)},
            {"id": 4, "image_id": 1, "category_id": 5, "iscrowd": 0, "area": 0, "bbox": [3, 3, 0, 0]},
            {
                "id": 5,
                "image_id": 2,
                "category_id": 7,
                "iscrowd": 1,
                "area": 8,
                "bbox": [0, 0, 5, 4],
                "segmentation": crowd,
            },
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_objects_come_largest_first(instances):
    source = load_boxes(f"coco:{instances}", BoxSettings(RegionLimits(1, 9)))
    found = source(1, Image.new("RGB", (30, 20)))
    assert found.boxes.tolist() == [[20, 10, 30, 20], [1, 2, 4, 6], [4, 5, 6, 7]]
    assert found.columns["class"].tolist() == [9, 7, 5]
    crowd = source(2, Image.new("RGB", (5, 4)))
    assert crowd.boxes.tolist() == [[2, 0, 4, 4]]
    assert source(3, Image.new("RGB", (9, 9))).boxes.shape == (0, 4)
    few = load_boxes(f"coco:{instances}", BoxSettings(RegionLimits(1, 2)))
    assert len(few(1, Image.new("RGB", (30, 20))).boxes) == 2


def test_coco_refuses_what_does_not_fit(instances, tmp_path, capsys):
    source = load_boxes(f"coco:{instances}", BoxSettings())
    with pytest.raises(DataError, match=r"instances\.json: image 4: the COCO instances file has no such image"):
        source(4, Image.new("RGB", (9, 9)))
    with pytest.raises(DataError, match="image 1: the boxes are of an image of 30 x 20 pixels, this one has 20 x 30"):
        source(1, Image.new("RGB", (20, 30)))
    for content in ("", "[]", "{}", '{"images": 3}', '{"images": [{}], "annotations": [{}]}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(DataError, match=r"bad\.json: not a COCO instances file"):
            load_boxes(f"coco:{tmp_path / 'bad.json'}", BoxSettings())
    assert capsys.readouterr().out == ""


def test_another_stores_boxes(make_store):
    path, content = make_store()
    source = load_boxes(f"store:{path}", BoxSettings(RegionLimits(1, 3)))
    for image_id, (_, boxes, size) in content.items():
        assert (source(image_id, Image.new("RGB", size)).boxes == boxes[:3]).all()
    with pytest.raises(DataError, match="image 99"):
        source(99, Image.new("RGB", (4, 4)))
    with pytest.raises(DataError, match="image 3: the boxes are of an image"):
        source(3, Image.new("RGB", (4, 4)))
    assert source.facts["content_hash"] == RegionStore(path).content_hash


def test_boxes_of_a_table(tmp_path):
    (tmp_path / "b.json").write_text('{"5": [[1, 2, 3.5, 4], [0, 0, 99, 99]], "x": []}')
    (tmp_path / "b.csv").write_text(
        "\ufeffscore,image_id,x1,y1,x2,y2\n1,5,1,2,3.5,4\n.5,5,0,0,99,99\n", encoding="utf-8"
    )
    image = Image.new("RGB", (10, 8))
    for name in ("b.json", "b.csv"):
        source = load_boxes(f"table:{tmp_path / name}", BoxSettings(RegionLimits(1, 5)))
        for image_id in (5, "5"):
            assert source(image_id, image).boxes.tolist() == [[1, 2, 3.5, 4], [0, 0, 10, 8]]
        with pytest.raises(DataError, match=f"{name}: image 6: the file of boxes has no such image"):
            source(6, image)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.json", "[1, 2]", "not a file of boxes"),
        ("b.json", '{"5": [[1, 2, 3]]}', "not a file of boxes"),
        ("b.json", "\xff", "not a file of boxes"),
        ("b.csv", "", "has no column image_id"),
        ("b.csv", "image_id,x1,y1,x2\n", "has no column y2"),
        ("b.csv", "image_id,x1,y1,x2,y2\n1,2,3,4,5\n1,2,x,4,5\n", "line 3: not a box"),
        ("b.csv", "image_id,x1,y1,x2,y2\n1,2,3\n", "line 2: not a box"),
    ],
)
def test_damaged_tables_are_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="latin1")
    with pytest.raises(DataError, match=rf"{re.escape(name)}: {message}"):
        load_boxes(f"table:{tmp_path / name}", BoxSettings())


def test_boxes_the_wrong_way_round_are_refused_where_they_are_asked_for(tmp_path):
    (tmp_path / "b.json").write_text('{"5": [[3, 2, 1, 4]], "6": [[1, 2, 3, 4]]}')
    source = load_boxes(f"table:{tmp_path / 'b.json'}", BoxSettings())
    assert len(source(6, Image.new("RGB", (9, 9))).boxes) == 1
    with pytest.raises(DataError, match="image 5: a box ends before it begins"):
        source(5, Image.new("RGB", (9, 9)))


def test_senseless_sources():
    assert {"grid", "detector", "selective-search", "edge-boxes", "coco", "store", "table"} <= set(SOURCES)
    with pytest.raises(UsageError, match="no source of boxes called 'circles'"):
        load_boxes("circles", BoxSettings())
    for spec in ("coco", "store", "table"):
        with pytest.raises(UsageError, match=f"write {spec}:FILE"):
            load_boxes(spec, BoxSettings())
    with pytest.raises(UsageError, match="takes no argument"):
        load_boxes("grid:5", BoxSettings())
    with pytest.raises(UsageError, match="needs the detector's name"):
        load_boxes("detector", BoxSettings())
