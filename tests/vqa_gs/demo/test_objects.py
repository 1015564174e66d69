"""The world of named objects: what COCO files say is what is drawn, edits remove one object, company misleads."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.mask import decode

from vqa_gs.common.errors import UsageError
from vqa_gs.demo.object_world import ObjectWorld, write_object_world
from vqa_gs.demo.objects import ObjectWorldSettings, build_edited_pictures, build_pictures, category_records, themes
from vqa_gs.demo.world import WorldSettings, write_world

TINY = ObjectWorldSettings(
    train_images=12, iid_val_images=6, test_images=6, train_edits=10, iid_val_edits=4, test_edits=9, seed=1
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ObjectWorld:
    return write_object_world(tmp_path_factory.mktemp("objects"), TINY)


def coco(file: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(file))


def pixels(world: ObjectWorld, image_id: int) -> np.ndarray:
    return np.asarray(Image.open(world.root / "images" / f"{image_id:06d}.jpg")).astype(int)


def test_themes_are_told_by_no_shape_and_no_colour_alone() -> None:
    for seed in range(20):
        known = themes(seed)
        kinds = [kind for theme in known for kind in theme]
        assert len(set(kinds)) == 16
        assert set(Counter(shape for shape, _ in kinds).values()) == {2}
        assert set(Counter(color for _, color in kinds).values()) == {2}
        for theme in known:
            assert len({shape for shape, _ in theme}) == len({color for _, color in theme}) == 4
    names = [record["name"] for record in category_records(0)]
    assert [record["id"] for record in category_records(0)] == list(range(1, 17))
    assert len(set(names)) == 16


def test_same_settings_same_bytes_and_a_finished_world_is_used_again(world: ObjectWorld, tmp_path: Path) -> None:
    again = write_object_world(tmp_path, TINY)
    for file in sorted(world.root.rglob("*")):
        if file.is_file():
            assert (again.root / file.relative_to(world.root)).read_bytes() == file.read_bytes()
    calls: list[tuple[int, int]] = []
    write_object_world(tmp_path, TINY, progress=lambda done, total: calls.append((done, total)))
    assert calls == []
    with pytest.raises(UsageError, match="other settings"):
        write_object_world(tmp_path, replace(TINY, seed=2))
    with pytest.raises(UsageError, match="other settings"):
        write_world(tmp_path, WorldSettings())  # the world of questions


@pytest.mark.parametrize("split", ["train", "test_edited"])
def test_instances_are_what_is_drawn(world: ObjectWorld, split: str) -> None:
    file = coco(world.instances(split))
    boxes = {record["image_id"]: record["boxes"] for record in json.loads((world.root / "boxes.json").read_text())}
    assert set(file.imgs) <= set(boxes)
    for annotation in file.dataset["annotations"]:
        x, y, width, height = annotation["bbox"]
        mask = decode(file.annToRLE(annotation))
        assert mask.sum() == pytest.approx(annotation["area"], rel=0.12)  # pixels against the polygon's own area
        rows, columns = np.nonzero(mask)
        assert (columns.min(), rows.min()) == pytest.approx((x, y), abs=2.5)
        assert (columns.max() + 1, rows.max() + 1) == pytest.approx((x + width, y + height), abs=2.5)
        # A region shows it.
        x1, y1, x2, y2 = np.array(boxes[annotation["image_id"]]).T
        cover = np.clip(np.minimum(x2, x + width) - np.maximum(x1, x), 0, None) * np.clip(
            np.minimum(y2, y + height) - np.maximum(y1, y), 0, None
        )
        union = (x2 - x1) * (y2 - y1) + width * height - cover
        assert (cover / union).max() > 0.5


def test_colour_of_an_object_is_its_name(world: ObjectWorld) -> None:
    file = coco(world.instances("train"))
    seen = 0
    for annotation in file.dataset["annotations"]:
        name = file.cats[annotation["category_id"]]["name"]
        if name.startswith(("red", "blue")):
            inside = pixels(world, annotation["image_id"])[decode(file.annToRLE(annotation)) > 0].mean(axis=0)
            assert inside.argmax() == (0 if name.startswith("red") else 2), name
            seen += 1
    assert seen


def test_edits_remove_one_object_and_nothing_else(world: ObjectWorld) -> None:
    boxes = {record["image_id"]: record["boxes"] for record in json.loads((world.root / "boxes.json").read_text())}
    for split in ("train", "test"):
        originals, edits = coco(world.instances(split)), coco(world.instances(f"{split}_edited"))
        pairs = json.loads(world.pairs(f"{split}_edited").read_text())
        assert [edited for _, edited in pairs] == sorted(edits.imgs)
        removed = set()
        for original, edited in pairs:
            before = {note["category_id"]: note for note in originals.imgToAnns[original]}
            after = {note["category_id"]: note for note in edits.imgToAnns[edited]}
            (gone,) = set(before) - set(after)
            assert set(after) < set(before)
            assert edits.imgs[edited]["original_image_id"] == original
            assert edits.imgs[edited]["removed_category_id"] == gone
            removed.add((original, gone))
            assert boxes[original] == boxes[edited]
            x, y, width, height = before[gone]["bbox"]
            changed = np.abs(pixels(world, original) - pixels(world, edited)).max(axis=2) > 0
            rows, columns = np.nonzero(changed)
            # JPEG changes whole blocks of 8 x 8.
            assert columns.min() >= x - 9
            assert columns.max() <= x + width + 9
            assert rows.min() >= y - 9
            assert rows.max() <= y + height + 9
            assert all(note["bbox"] == before[number]["bbox"] for number, note in after.items())
        assert len(removed) == len(pairs)


def test_first_edits_do_not_depend_on_their_number() -> None:
    few, many = TINY, replace(TINY, train_edits=20)
    of = build_pictures("train", few)
    one, other = (build_edited_pictures("train_edited", of, s.train_edits, s) for s in (few, many))
    assert other.scenes[:10] == one.scenes
    assert other.originals[:10] == one.originals


def test_company_says_much_about_an_object() -> None:
    settings = ObjectWorldSettings(train_images=600)
    known = themes(0)
    shown = [
        {(thing.shape, thing.color) for thing in scene.things} for scene in build_pictures("train", settings).scenes
    ]
    for theme in known:
        several = [kinds for kinds in shown if len(kinds & set(theme)) >= 2]
        rest = [kinds for kinds in shown if len(kinds & set(theme)) < 2]
        for kind in theme:
            others = [kinds for kinds in several if len((kinds - {kind}) & set(theme)) >= 2]
            assert np.mean([kind in kinds for kinds in others]) > 0.8
            assert np.mean([kind in kinds for kinds in rest]) < 0.15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 0}, "train_images is 0"),
        ({"test_edits": 13}, "test_edits is 13 .0 to twice as many as images"),
        ({"company": 1.5}, "company is 1.5"),
        ({"background": -0.1}, "background is -0.1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_make_no_world(tmp_path: Path, change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_object_world(tmp_path, replace(TINY, **change))
    assert not list(tmp_path.iterdir())
