from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.demo.priors import plan_questions, preferred_answers
from vqa_gs.demo.questions import COUNTS, QUESTION_TYPES, SHAPES, TYPE_SHARES, Query, all_queries, possible_answers
from vqa_gs.demo.world import SPLITS, World, WorldSettings, write_world

ANNOTATION_KEYS = {
    "question_type",
    "multiple_choice_answer",
    "answers",
    "image_id",
    "answer_type",
    "question_id",
    "coco_split",
}
TINY = WorldSettings(train_images=20, iid_val_images=5, ood_test_images=6, edits=7, seed=1)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def subject(question: str, kind: str) -> str:
    words = question.lower().rstrip("?").split()
    subjects = [query.subject for query in all_queries(kind)]
    (found,) = [one for one in subjects if {one, one + "s", one + "es"} & set(words)]
    return found


def test_same_seed_same_bytes_in_another_process(tmp_path: Path) -> None:
    write_world(tmp_path / "here", TINY)
    program = (
        "import sys; from vqa_gs.demo.world import *;"
        "write_world(sys.argv[1], WorldSettings("
        "train_images=20, iid_val_images=5, ood_test_images=6, edits=7, seed=1))"
    )
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], check=True, env=environment)
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert list(here) == list(there)
    assert here == there


def test_seeds_differ(tmp_path: Path) -> None:
    a, b = (write_world(tmp_path / str(seed), replace(TINY, seed=seed)) for seed in (1, 2))
    assert a.questions("train").read_bytes() != b.questions("train").read_bytes()
    assert (a.root / "images/100000.jpg").read_bytes() != (b.root / "images/100000.jpg").read_bytes()


def test_first_edits_do_not_depend_on_their_number(tmp_path: Path) -> None:
    few, many = (write_world(tmp_path / str(edits), replace(TINY, edits=edits)) for edits in (7, 15))
    assert json.loads(few.edited_pairs.read_text()) == json.loads(many.edited_pairs.read_text())[:7]
    for name in ("questions", "annotations"):
        path = f"edited_{name}.json"
        assert json.loads((few.root / path).read_text()) == json.loads((many.root / path).read_text())[:7]
    for number in range(7):
        image = f"images/{900_000 + number}.jpg"
        assert (few.root / image).read_bytes() == (many.root / image).read_bytes()


def test_finished_world_is_used_again(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    world = write_world(tmp_path, TINY, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(number, 38) for number in range(1, 39)]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write_world(tmp_path, TINY, progress=lambda done, total: calls.append((done, total))) == world
    assert len(calls) == 38
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("damage", ["image", "questions", "marker", "missing image"])
def test_damaged_world_is_written_anew(tmp_path: Path, damage: str) -> None:
    write_world(tmp_path, TINY)
    whole = contents(tmp_path)
    if damage == "image":
        (tmp_path / "images/100003.jpg").write_bytes(b"half")
    elif damage == "questions":
        (tmp_path / "train_questions.json").write_text("[]")
    elif damage == "marker":
        (tmp_path / "world.json").unlink()
        (tmp_path / "images/100019.jpg").rename(tmp_path / "images/100999.jpg")
    else:
        (tmp_path / "images/900000.jpg").unlink()
    write_world(tmp_path, TINY)
    assert contents(tmp_path) == whole


def test_interrupted_world_is_not_taken_for_finished(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path, TINY, progress=stop)
    assert not (tmp_path / "world.json").exists()
    write_world(tmp_path, TINY)
    assert (tmp_path / "world.json").exists()


def test_other_world_is_not_overwritten(tmp_path: Path) -> None:
    write_world(tmp_path, TINY)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="other settings"):
        write_world(tmp_path, replace(TINY, seed=2))
    assert contents(tmp_path) == before


def test_foreign_world_file(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{}")
    with pytest.raises(DataError, match="does not describe a world"):
        write_world(tmp_path, TINY)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_world(tmp_path / "file", TINY)


@pytest.mark.parametrize(
    "changes",
    [
        {"train_images": 0},
        {"ood_test_images": 100_000},
        {"edits": 28},
        {"edits": -1},
        {"two_questions": 0.9},
        {"prior_strength": 1.1},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_world(tmp_path: Path, changes: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        write_world(tmp_path / "world", replace(TINY, **changes))
    assert not (tmp_path / "world").exists()


def test_forms(small: Any) -> None:
    for split in small.splits:
        questions, annotations = small.questions[split], small.annotations[split]
        assert len(questions) == small.world.settings.questions(split)
        assert len({question["image_id"] for question in questions}) == small.world.settings.images(split)
        for question, annotation in zip(questions, annotations, strict=True):
            assert set(question) == {"image_id", "question", "question_id", "coco_split"}
            assert set(annotation) == ANNOTATION_KEYS
            for key in ("image_id", "question_id", "coco_split"):
                assert question[key] == annotation[key]
            assert question["question_id"] // 1000 == question["image_id"]
            assert question["coco_split"] in ("train2014", "val2014")
            assert annotation["question_type"] in QUESTION_TYPES
            assert annotation["answer_type"] in ("yes/no", "number", "other")
            votes = Counter(answer["answer"] for answer in annotation["answers"])
            assert votes.most_common(1)[0][0] == annotation["multiple_choice_answer"]
            assert sum(votes.values()) == 10


def test_ids_are_unique_and_splits_disjoint(small: Any) -> None:
    question_ids = [question["question_id"] for split in small.splits for question in small.questions[split]]
    assert len(set(question_ids)) == len(question_ids)
    images = {split: {question["image_id"] for question in small.questions[split]} for split in small.splits}
    assert len(set().union(*images.values())) == sum(map(len, images.values()))
    assert set(small.boxes) == set(small.scenes) == set().union(*images.values())


def test_answers_follow_from_scenes(small: Any, read_answer: Any) -> None:
    for question, annotation in small.by_question.values():
        things = small.scenes[question["image_id"]]["things"]
        assert read_answer(question["question"], things) == annotation["multiple_choice_answer"]


def test_edits(small: Any) -> None:
    assert len(small.pairs) == 60
    assert len({original for original, _ in small.pairs}) == 60
    train = {question["question_id"] for question in small.questions["train"]}
    for original_id, edited_id in small.pairs:
        assert original_id in train
        (question, annotation), (edited, changed) = (
            small.by_question[original_id],
            small.by_question[edited_id],
        )
        assert question["question"] == edited["question"]
        assert annotation["question_type"] == changed["question_type"]
        assert annotation["multiple_choice_answer"] != changed["multiple_choice_answer"]
        a, b = small.scenes[question["image_id"]], small.scenes[edited["image_id"]]
        assert b["original_image_id"] == question["image_id"]
        assert b["original_question_id"] == original_id
        differ = [n for n, (x, y) in enumerate(zip(a["things"], b["things"], strict=True)) if x != y]
        assert differ == [b["changed"]]
        assert a["texture"] == b["texture"]
        assert small.boxes[question["image_id"]]["boxes"] == small.boxes[edited["image_id"]]["boxes"]
        gone = not b["things"][b["changed"]]["visible"]
        expected = [None if gone and index == b["changed"] else index for index in a["regions"]]
        assert b["regions"] == expected


def test_edited_pixels_differ_only_near_the_object(small: Any) -> None:
    images = small.world.root / "images"
    for original_id, edited_id in small.pairs:
        a, b = (
            np.asarray(Image.open(images / f"{number // 1000}.jpg"), dtype=np.int64)
            for number in (original_id, edited_id)
        )
        differ = np.abs(a - b).max(axis=2) > 0
        scene = small.scenes[edited_id // 1000]
        thing = scene["things"][scene["changed"]]
        low = [int(max(thing[axis] - thing["radius"] - 1, 0)) // 8 * 8 for axis in "yx"]
        high = [int(thing[axis] + thing["radius"] + 1) // 8 * 8 + 8 for axis in "yx"]
        assert differ[low[0] : high[0], low[1] : high[1]].any()
        differ[low[0] : high[0], low[1] : high[1]] = False
        assert not differ.any()


def test_edited_answers_follow_no_prior(tmp_path: Path) -> None:
    settings = WorldSettings(train_images=400, iid_val_images=1, ood_test_images=1, edits=240)
    world = write_world(tmp_path, settings)
    questions = json.loads(world.questions("edited").read_text())
    annotations = json.loads(world.annotations("edited").read_text())
    cells: Counter[tuple[str, str]] = Counter()
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for question, annotation in zip(questions, annotations, strict=True):
        kind = annotation["question_type"]
        cells[kind, subject(question["question"], kind)] += 1
        answers[kind][annotation["multiple_choice_answer"]] += 1
    assert len(cells) == 40
    assert set(cells.values()) == {6}
    for kind, counts in answers.items():
        if kind != "how many":  # one object more or less reaches the neighbouring numbers only
            assert set(counts) == {one for query in all_queries(kind) for one in possible_answers(query)}
            assert max(counts.values()) - min(counts.values()) <= 6
        else:
            assert set(counts) == set(COUNTS)


def test_boxes(small: Any) -> None:
    lengths = set()
    first_is_object = []
    for image_id, record in small.boxes.items():
        assert record["file"] == f"images/{image_id}.jpg"
        with Image.open(small.world.root / record["file"]) as image:
            assert image.size == (record["width"], record["height"]) == (128, 128)
            assert image.mode == "RGB"
        boxes = np.array(record["boxes"])
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert boxes.min() >= 0
        assert boxes.max() <= 128
        scene = small.scenes[image_id]
        seen = [index for index in scene["regions"] if index is not None]
        assert sorted(seen) == [n for n, thing in enumerate(scene["things"]) if thing["visible"]]
        assert [0, 0, 128, 128] in record["boxes"]
        assert 3 <= len(boxes) - len(seen) <= 5
        for box, index in zip(boxes, scene["regions"], strict=True):
            if index is not None:
                thing = scene["things"][index]
                centre = (box[:2] + box[2:]) / 2
                assert np.abs(centre - [thing["x"], thing["y"]]).max() < 2
        lengths.add(len(boxes))
        first_is_object.append(scene["regions"][0] is not None)
    assert len(lengths) >= 4
    assert 0.3 < np.mean(first_is_object) < 0.85


def test_image_boxes(small: Any) -> None:
    listed = list(small.world.image_boxes())
    assert [one.image_id for one in listed] == list(small.boxes)
    assert all(one.path.is_file() and one.size == (128, 128) for one in listed)
    assert listed[0].boxes.dtype == np.float32
    assert listed[0].boxes.shape == (len(small.boxes[listed[0].image_id]["boxes"]), 4)


@pytest.mark.parametrize(("split", "low", "high"), [("iid_val", 80, 98), ("ood_test", 2, 20)])
def test_priors_turn_over(small: Any, split: str, low: float, high: float) -> None:
    """Answering by the words alone is right in the in-domain split and wrong out of distribution."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for question, annotation in zip(small.questions["train"], small.annotations["train"], strict=True):
        kind = annotation["question_type"]
        counts[kind, subject(question["question"], kind)][annotation["multiple_choice_answer"]] += 1
    right = []
    for question, annotation in zip(small.questions[split], small.annotations[split], strict=True):
        kind = annotation["question_type"]
        guess = counts[kind, subject(question["question"], kind)].most_common(1)[0][0]
        right.append(guess == annotation["multiple_choice_answer"])
    assert low <= 100 * np.mean(right) <= high


@pytest.mark.parametrize("share", [0.9, 0.1])
def test_planned_priors(share: float) -> None:
    rng = np.random.default_rng(0)
    preferred = preferred_answers(rng)
    planned = plan_questions(4000, preferred, share, rng)
    by_query: dict[Query, Counter[str]] = defaultdict(Counter)
    for query, answer in planned:
        by_query[query][answer] += 1
    assert len(by_query) == 40
    for query, counts in by_query.items():
        total = sum(counts.values())
        assert total == round(4000 * TYPE_SHARES[query.kind] / 8)
        assert abs(counts[preferred[query]] / total - share) <= 0.02
        others = [counts[one] for one in possible_answers(query) if one != preferred[query]]
        assert max(others) - min(others) <= 1


@pytest.mark.parametrize("count", [1, 7, 100, 2025])
def test_types_have_their_shares(count: int) -> None:
    rng = np.random.default_rng(0)
    kinds = Counter(query.kind for query, _ in plan_questions(count, preferred_answers(rng), 0.9, rng))
    assert sum(kinds.values()) == count
    assert all(abs(kinds[kind] - count * share) < 1 for kind, share in TYPE_SHARES.items())


def test_type_alone_says_little() -> None:
    for seed in range(5):
        preferred = preferred_answers(np.random.default_rng(seed))
        for kind in QUESTION_TYPES:
            counts = Counter(preferred[query] for query in all_queries(kind))
            options = len({one for query in all_queries(kind) for one in possible_answers(query)})
            assert max(counts.values()) <= -(-len(SHAPES) // options)
        assert all(answer in possible_answers(query) for query, answer in preferred.items())


def test_whole_prior_strength(tmp_path: Path) -> None:
    world = write_world(tmp_path, replace(TINY, prior_strength=1.0, two_questions=0.0, edits=0))
    assert json.loads(world.edited_pairs.read_text()) == []
    assert len(json.loads(world.questions("ood_test").read_text())) == 6


def test_default_world_is_the_documented_one() -> None:
    settings = WorldSettings()
    assert sum(settings.images(split) for split in SPLITS) == 2500
    assert settings.questions("train") >= 2000
    assert isinstance(World(Path("x"), settings).boxes, Path)


def test_relevant_boxes_are_those_of_the_objects_asked_about(tmp_path):
    world = write_world(tmp_path, TINY)
    scenes = {record["image_id"]: record for record in json.loads(world.scenes.read_text())}
    boxes = {record["image_id"]: record["boxes"] for record in json.loads(world.boxes.read_text())}
    seen = Counter()
    for split in ("iid_val", "ood_test"):
        relevant = {one["question_id"]: one["boxes"] for one in json.loads(world.relevant_boxes(split).read_text())}
        questions = json.loads(world.questions(split).read_text())
        annotations = json.loads(world.annotations(split).read_text())
        for question, annotation in zip(questions, annotations, strict=True):
            kind, answer = annotation["question_type"], annotation["multiple_choice_answer"]
            scene = scenes[question["image_id"]]
            shown = [boxes[question["image_id"]].index(box) for box in relevant.get(question["question_id"], [])]
            things = [scene["things"][scene["regions"][place]] for place in shown]
            seen[kind] += 1
            if kind == "is there a":
                assert bool(things) == (answer == "yes")
            elif kind == "how many":
                assert len(things) == int(answer)
            elif kind == "what is left of the":
                assert len(things) == 2
                assert answer in {thing["shape"] for thing in things}
            else:
                (thing,) = things
                assert answer == thing["color" if kind == "what color is the" else "shape"]
    assert len(seen) >= 4
