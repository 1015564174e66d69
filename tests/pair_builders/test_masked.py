"""Masks from every source, in the files' published forms."""

import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.classes.regions import ClassSettings
from vqa_gs.pair_builders.evidence.hat import box_attention
from vqa_gs.pair_builders.evidence.instances import mask_coverage
from vqa_gs.pair_builders.evidence_source import EVIDENCE
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError

builder = BUILDERS["masked"]

# Two dogs on the left and the right, a cat between them at the bottom, the whole image.
BOXES = [[0, 0, 30, 40], [70, 0, 100, 40], [35, 30, 65, 50], [0, 0, 100, 50]]
ROWS = [
    (9000, 9, "Is there a dog?", "yes"),
    (9001, 9, "How many dogs are there?", "2"),
    (9002, 9, "What animal is at the bottom?", "cat"),
    (9003, 9, "Is there a horse?", "no"),
    (9004, 9, "How many dogs are brown?", "1"),
    (9005, 9, "Is there a cat?", "no"),
]


@pytest.fixture
def sources(make_questions, make_store, tmp_path):
    store = make_store({9: (np.eye(4), BOXES)})
    (tmp_path / "names.txt").write_text("dog\ncat\nhorse\ngrass\n")
    np.savez(tmp_path / "classes.npz", category=[0, 0, 1, 3])
    return PairSources(
        make_questions(ROWS), store, regions=ClassSettings(tmp_path / "names.txt", tmp_path / "classes.npz")
    )


def build(sources, seed=0, evidence="classes", of_evidence=None, **settings):
    """Builds with settings of the source of evidence, and of the builder."""
    chosen = EVIDENCE[evidence].Settings(**(of_evidence or {}))
    given = replace(sources, evidence={evidence: chosen})
    return builder.build(given, builder.Settings(evidence=evidence, **settings), seed)


def listed(table):
    """Question -> (regions removed, answer), of a table without controls."""
    found = {}
    for pair, question in enumerate(table.question_a.tolist()):
        assert table.question_b[pair] == question
        found[question] = np.flatnonzero(~table.mask_of(pair)).tolist(), table.answer_b[pair]
    return found


def test_classes(sources):
    table = build(sources)
    assert listed(table) == {
        9000: ([0, 1], "no"),
        9001: ([0, 1], "0"),
        9002: ([2], ""),
        9004: ([0, 1], "0"),
    }
    assert table.alignment.tolist() == [0] * 4
    assert table.distance.tolist() == [0.5, 0.5, 0.25, 0.5]
    assert table.settings["masked"]["dropped"] == {"the answer stays": 1}
    assert listed(build(sources, answer="only-known")).keys() == {9000, 9001, 9004}
    assert {answer for _, answer in listed(build(sources, answer="empty")).values()} == {""}


def test_one_of_several_is_removed(sources):
    found = [listed(build(sources, seed, remove="one")) for seed in range(20)]
    assert {tuple(given[9001][0]) for given in found} == {(0,), (1,)}
    assert {given[9001][1] for given in found} == {"1"}
    # There still is a dog, and of the brown ones nobody knows which is left.
    assert all(9000 not in given for given in found)
    assert {given[9004][1] for given in found} == {""}
    assert listed(build(sources, 3, remove="one")) == found[3]


def test_controls_come_with_the_pairs(sources):
    table = build(sources, controls=True)
    assert table.kinds == ("masked", "masked-none", "masked-random", "masked-complement")
    assert np.bincount(table.kind).tolist() == [4] * 4
    for kind in range(4):
        rows = np.flatnonzero(table.kind == kind)
        assert table.question_a[rows].tolist() == [9000, 9001, 9002, 9004]
        assert table.answer_b[rows].tolist() == ["no", "0", "", "0"]
    for pair in range(4):
        kept, random, complement = (table.mask_of(pair + 4 * kind) for kind in (0, 2, 3))
        assert table.mask_of(pair + 4) is None
        assert random.sum() == kept.sum()
        assert (complement == ~kept).all()
    assert table.distance.reshape(4, 4).tolist() == [
        [0.5, 0.5, 0.25, 0.5], [0] * 4, [0.5, 0.5, 0.25, 0.5], [0.5, 0.5, 0.75, 0.5]
    ]  # fmt: skip


def test_an_image_without_any_region_is_no_example(make_questions, make_store, sources):
    store = make_store({9: [[1.0]]}, "one.h5")
    np.savez(sources.regions.classes, category=[0])
    table = builder.build(PairSources(sources.questions, store, regions=sources.regions))
    assert len(table) == 0
    assert table.settings["masked"]["dropped"]["nothing would remain"] == 3


@pytest.mark.parametrize("form", ["scr", "css", "hint_text_ids"])
def test_hint_files(sources, tmp_path, form):
    scores = {9000: [0.9, 0.7, 0.1, 0.59], 9002: [0.1, 0.2, 0.95, 0.3], 77: [0.0] * 4}
    if form == "css":
        path = tmp_path / "train_cpv2_hintscore.json"
        path.write_text(json.dumps({str(key): value for key, value in scores.items()}))
    else:
        path = tmp_path / "train_vqx_hint.pkl"
        convert = str if form == "hint_text_ids" else int
        hints = {convert(key): np.array(value) for key, value in scores.items()}
        path.write_bytes(pickle.dumps(hints, protocol=2))
    table = build(sources, evidence="hints", of_evidence={"file": path})
    assert listed(table) == {9000: ([0, 1], ""), 9002: ([2], "")}
    assert len(table.sources[str(path)]) == 64
    assert listed(build(sources, evidence="hints", of_evidence={"file": path, "most": 1}))[9000] == ([0], "")
    assert listed(build(sources, evidence="hints", of_evidence={"file": path, "least": 0.3}))[9000] == ([0, 1, 3], "")


def test_explanations(sources, tmp_path):
    path = tmp_path / "train_exp_anno.json"
    path.write_text(json.dumps({"9002": ["the kitten is lying there", "a cat is lower than the dogs"], "9003": ["no"]}))
    table = build(sources, evidence="hints", of_evidence={"file": path})
    assert listed(table) == {9002: ([0, 1, 2], "")}
    assert table.settings["masked"]["dropped"] == {"no region matters": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"9000": [1.0, 2.0]}, r"h\.json: question 9000: 2 scores, but image 9 has 4 regions"),
        ({"1": [1.0] * 4}, r"h\.json: has no hint for any of the questions"),
        ({"9000": [[1.0]]}, r"h\.json: question '9000': scores of type"),
        ([1], r"h\.json: .*not an object"),
    ],
)
def test_bad_hints(sources, tmp_path, content, message):
    path = tmp_path / "h.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        build(sources, evidence="hints", of_evidence={"file": path})


@pytest.fixture
def hat(tmp_path):
    """The left dog was looked at by two people, in maps of another size than the image; v1 ids and questions."""
    folder = tmp_path / "vqahat_val"
    folder.mkdir()
    left = np.zeros((100, 200), np.uint8)
    left[:80, :60] = 200
    Image.fromarray(left).save(folder / "90_1.png")
    Image.fromarray(left // 2).save(folder / "90_2.png")
    Image.fromarray(left).save(folder / "91_1.png")
    questions = [
        {"image_id": 9, "question": "Is there a dog ?", "question_id": 90},
        {"image_id": 8, "question": "Is there a dog?", "question_id": 91},
    ]
    path = tmp_path / "OpenEnded_mscoco_val2014_questions.json"
    path.write_text(json.dumps({"task_type": "Open-Ended", "data_type": "mscoco", "questions": questions}))
    return {"maps": folder, "questions": path}


def test_attention_maps_are_joined_by_image_and_text(sources, hat):
    table = build(sources, evidence="hat", of_evidence=hat)
    assert listed(table) == {9000: ([0], "")}
    assert str(hat["questions"]) in table.sources


def test_attention_maps_that_do_not_fit(sources, hat, make_questions):
    other = PairSources(make_questions([(1, 9, "Is there a dog?", "yes")]), sources.store)
    assert len(build(other, evidence="hat", of_evidence=hat)) == 1
    nothing = PairSources(make_questions([(1, 9, "Is it late?", "yes")]), sources.store)
    with pytest.raises(DataError, match="v1 question ids"):
        build(nothing, evidence="hat", of_evidence=hat)
    Image.new("L", (5000, 5000)).save(hat["maps"] / "90_1.png")
    with pytest.raises(DataError, match=r"90_1.png: not a readable attention map: 5000 x 5000 pixels"):
        build(sources, evidence="hat", of_evidence=hat)
    (hat["maps"] / "90_1.png").unlink()
    os.mkfifo(hat["maps"] / "90_1.png")
    with pytest.raises(DataError, match=r"90_1.png: is a pipe"):
        build(sources, evidence="hat", of_evidence=hat)
    (hat["maps"] / "90_1.png").unlink()
    (hat["maps"] / "90_1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"90_1\.png: not a readable attention map"):
        build(sources, evidence="hat", of_evidence=hat)


def test_box_attention_by_hand():
    attention = np.zeros((2, 4))
    attention[0, 0], attention[1, 3] = 6, 2
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0.25, 0, 0.5, 1], [0.5, 0.5, 0.5, 0.5]])
    # 6 / 2 pixels inside, 2 / 6 outside; the whole image; nothing inside; a box without a pixel.
    np.testing.assert_allclose(box_attention(attention, boxes), [3 / (3 + 1 / 3), 0.5, 0, 0.5])
    np.testing.assert_array_equal(box_attention(attention * 0, boxes), [0.5] * 4)


@pytest.fixture
def instances(tmp_path):
    """COCO's form, twice the store's size: a polygon, a compressed and an uncompressed run-length mask, a crowd."""
    right = np.zeros((100, 200), np.uint8)
    right[:80, 140:200] = 1
    packed = mask_utils.encode(np.asfortranarray(right))
    cat = np.zeros((100, 200), np.uint8)
    cat[60:100, 70:130] = 1
    runs, last, length = [], 0, 0
    for value in cat.T.reshape(-1).tolist():
        if value != last:
            runs.append(length)
            last, length = value, 0
        length += 1
    runs.append(length)
    annotations = [
        {"id": 1, "image_id": 9, "category_id": 18, "iscrowd": 0, "area": 4800, "bbox": [0, 0, 60, 80],
         "segmentation": [[0, 0, 60, 0, 60, 80, 0, 80]]},
        {"id": 2, "image_id": 9, "category_id": 18, "iscrowd": 0, "area": 4800, "bbox": [140, 0, 60, 80],
         "segmentation": {"size": [100, 200], "counts": packed["counts"].decode()}},
        {"id": 3, "image_id": 9, "category_id": 17, "iscrowd": 1, "area": 2400, "bbox": [70, 60, 60, 40],
         "segmentation": {"size": [100, 200], "counts": runs}},
    ]  # fmt: skip
    content = {
        "info": {}, "licenses": [],
        "images": [{"id": 9, "width": 200, "height": 100, "file_name": "COCO_val2014_000000000009.jpg"}],
        "annotations": annotations,
        "categories": [{"id": 19, "name": "horse"}, {"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }  # fmt: skip
    path = tmp_path / "instances_val2014.json"
    path.write_text(json.dumps(content))
    return path


def test_instances(sources, instances, capfd):
    table = build(sources, evidence="instances", of_evidence={"file": instances})
    assert listed(table) == {
        9000: ([0, 1], "no"),
        9001: ([0, 1], "0"),
        9002: ([2], ""),
        9004: ([0, 1], "0"),
    }
    one = [
        listed(build(sources, seed, evidence="instances", of_evidence={"file": instances}, remove="one"))
        for seed in range(9)
    ]
    assert {given[9001][1] for given in one} == {"1"}
    assert {tuple(given[9001][0]) for given in one} == {(0,), (1,)}
    assert capfd.readouterr().out == ""
    assert len(table.sources[str(instances)]) == 64


def test_an_instance_that_no_region_shows_leaves_the_answer_open(sources, instances):
    content = json.loads(instances.read_text())
    content["annotations"].append(
        {"id": 4, "image_id": 9, "category_id": 18, "iscrowd": 0, "area": 4, "bbox": [100, 2, 2, 2],
         "segmentation": [[100, 2, 102, 2, 102, 4, 100, 4]]}
    )  # fmt: skip
    instances.write_text(json.dumps(content))
    found = listed(build(sources, evidence="instances", of_evidence={"file": instances}))
    assert found[9000] == ([0, 1], "")
    assert found[9001] == ([0, 1], "")


def test_instances_that_do_not_fit(sources, instances, make_questions, make_store):
    other = PairSources(make_questions([(1, 8, "Is there a dog?", "yes")]), make_store({8: [[1.0]]}, "8.h5"))
    with pytest.raises(DataError, match=r"instances_val2014\.json: has none of the images"):
        build(other, evidence="instances", of_evidence={"file": instances})
    content = json.loads(instances.read_text())
    del content["annotations"][0]["segmentation"]
    instances.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"instances_val2014\.json: annotation 1: an instance without"):
        build(sources, evidence="instances", of_evidence={"file": instances})
    instances.write_text('{"images": []}')
    with pytest.raises(DataError, match="not a COCO instances file"):
        build(sources, evidence="instances", of_evidence={"file": instances})


def test_mask_coverage_against_counting():
    generator = np.random.default_rng(0)
    mask = (generator.random((20, 30)) < 0.4).astype(float)
    boxes = np.array([[0, 0, 30, 20], [3, 4, 9, 12], [5, 5, 5, 9], [-4, -4, 6, 3]], float)
    expected = [mask.mean(), mask[4:12, 3:9].mean(), 0, mask[:3, :6].mean()]
    np.testing.assert_allclose(mask_coverage(mask, boxes), expected)


@pytest.mark.parametrize("kind", ["hints", "hat", "instances"])
def test_files_have_to_be_named(sources, kind):
    with pytest.raises(UsageError, match=f"name (it|them) with --{kind}"):
        build(sources, evidence=kind)
    with pytest.raises(UsageError, match="no source of evidence called 'looks'"):
        builder.build(sources, builder.Settings(evidence="looks"))
