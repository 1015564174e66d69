"""Files of instances and edits become examples, pairs and splits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from vqa_gs.features.writer import RegionStoreWriter

from tests.run_settings import config_of, task_of
from tests.vqa_gs.tasks.label_images import CATEGORIES, DIM, REGIONS, Drawn
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.training.loop import train


def test_hard_edited_images_have_combinations_never_trained_on(labels):
    task = task_of(labels, data__pairs=[])
    edited, hard = task.tests[1], task.tests[2]
    known = {tuple(row) for name in ("train", "edited") for row in _labels(labels["data"][name])}
    expected = [
        image for image, row in zip(edited.image_ids, edited.labels, strict=True) if tuple(row.tolist()) not in known
    ]
    assert 0 < len(expected) < len(edited.image_ids)
    assert list(hard.image_ids) == expected  # with or without training on the pairs
    assert list(task_of(labels).tests[2].image_ids) == expected


def _labels(path):
    with open(path) as file:
        content = json.load(file)
    shown = {image["id"]: set() for image in content["images"]}
    for annotation in content["annotations"]:
        shown[annotation["image_id"]].add(annotation["category_id"])
    return [[category in found for category in CATEGORIES] for found in shown.values()]


def test_shuffled_partners_are_other_edits(labels):
    own, shuffled = task_of(labels).data.pairs, task_of(labels, data__partners="shuffled").data.pairs
    assert (own[:, 0] == shuffled[:, 0]).all()
    assert (own[:, 1] != shuffled[:, 1]).all()
    assert sorted(own[:, 1]) == sorted(shuffled[:, 1])
    assert len(task_of(labels, data__max_pairs=5).data.pairs) == 5


def test_a_share_of_training_is_held_out_where_no_file_is_named(labels, tmp_path):
    task = task_of(labels, data__iid_val=[], data__val_fraction=0.25)
    held = set(task.validation.image_ids)
    assert (len(held), task.ordinary) == (6, 18)
    originals = set(task.data.image_ids[:18])
    assert held | originals == set(range(100, 124))
    assert {task.data.image_ids[row] for row in task.data.pairs[:, 0]} == originals
    assert held != set(task_of(labels, data__iid_val=[], data__val_fraction=0.25, seed=1).validation.image_ids)
    assert train(config_of(labels, data__iid_val=[], training__epochs=1), tmp_path / "run", quiet=True).exists()


def test_lists_of_edits_stand_for_instances(labels, drawn, tmp_path):
    """IV-VQA's image ids say what was removed; its images are in a store of their own."""
    named = {}
    for split in ("train", "test"):
        images = _labels(labels["data"]["train"] if split == "train" else labels["data"]["tests"]["test_original"])
        first = 100 if split == "train" else 300
        named[split] = [
            [first + at, f"{first + at:012d}_{next(c for c, there in zip(CATEGORIES, row, strict=True) if there):012d}"]
            for at, row in enumerate(images)
        ]
        (tmp_path / f"{split}.json").write_text(json.dumps(named[split]))
    with RegionStoreWriter(
        tmp_path / "e.h5", dim=DIM, dtype="float32", fingerprint="made up", string_ids=True
    ) as writer:
        for original, edited in named["train"] + named["test"]:
            writer.add(edited, drawn.regions[original], np.tile(np.float32([0, 0, 4, 4]), (REGIONS, 1)), (8, 8))
    listed = {"test_original": labels["data"]["tests"]["test_original"], "ood_edited": str(tmp_path / "test.json")}
    changes = {
        "data__edited": str(tmp_path / "train.json"), "data__pairs": [str(tmp_path / "train.json")],
        "data__edited_features": str(tmp_path / "e.h5"), "data__tests": listed, "data__unseen": {},
    }  # fmt: skip
    task = task_of(labels, **changes)
    assert list(task.tests[1].image_ids) == [edited for _, edited in named["test"]]
    assert (task.tests[0].labels.sum(1) - task.tests[1].labels.sum(1) == 1).all()
    assert train(config_of(labels, **changes, training__epochs=1), tmp_path / "run", quiet=True).exists()
    with pytest.raises(UsageError, match="'ood_edited' is a list of edits, whose originals' labels are not known"):
        task_of(labels, **changes | {"data__tests": {"ood_edited": str(tmp_path / "test.json")}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scoring": "exact"}, "scored by mAP, not 'exact'"),
        ({"data__edited": None}, "name their file in data.edited"),
        ({"data__val_fraction": 1.0}, "val_fraction must be between 0 and 1"),
        ({"data__unseen": {"hard": "nothing"}}, "'hard' is of 'nothing'"),
        ({"data__unseen": {"ood_edited": "test_original"}}, "both have a split 'ood_edited'"),
        ({"model__dropout": 1.0}, "model.dropout must be in"),
    ],
)
def test_settings_that_make_no_sense(labels, changes, message):
    with pytest.raises(UsageError, match=message):
        task_of(labels, **changes)


def test_images_in_two_places_are_refused(labels):
    data = labels["data"]
    with pytest.raises(DataError, match="image 100: is in .*train.json too .hold images to be scored on"):
        task_of(labels, data__iid_val=[data["train"]])
    with pytest.raises(DataError, match="image 200: is in .*val.json too"):
        task_of(labels, data__tests={"test_original": data["iid_val"][0]}, data__unseen={})
    with pytest.raises(DataError, match="an edited image needs an id of its own"):
        task_of(labels, data__edited=data["train"])
    acknowledged = {"data__tests": {"test": data["iid_val"][0]}, "data__unseen": {}}
    assert task_of(labels, **acknowledged, data__test_selection="acknowledged").tests[0].chosen_on_test


def test_unknown_images_are_told_with_file_and_row(labels, tmp_path):
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([[100, 500], [99, 501]]))
    with pytest.raises(DataError, match=r"pairs.json: row 1: image 99 is not in .*train.json"):
        task_of(labels, data__pairs=[str(pairs)])
    pairs.write_text(json.dumps([[100, 101]]))
    with pytest.raises(DataError, match=r"row 0: image 101 is not in .*edited.json"):
        task_of(labels, data__pairs=[str(pairs)])
    own = Drawn(tmp_path, np.random.default_rng(0))
    absent = own.write("absent", {100: np.ones(4, bool), 101: np.zeros(4, bool), 77: np.zeros(4, bool)})
    with pytest.raises(DataError, match=r"absent.json: image 77 is not in the region store .*\(1 of 3 are not\)"):
        task_of(labels, data__train=absent)
    nothing = own.write("nothing", {300: np.zeros(4, bool)})
    with pytest.raises(DataError, match="no image that shows a class"):
        task_of(labels, data__tests={"test": nothing}, data__unseen={})
