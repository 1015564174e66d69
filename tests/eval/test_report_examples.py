import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vqa_gs.eval.arms import group_runs
from vqa_gs.eval.report_content.examples import ExampleCollector, choose, outcomes
from vqa_gs.eval.report_content.records import gather
from vqa_gs.features.naming import PictureFolder
from vqa_gs.features.thumbnails import LONGEST, Embedded

from vqa_gs.common.errors import DataError

from .report_world import NASTY, write_world


def test_outcomes():
    scores = np.array([[1.0, 0.3, 0.6, 0.0], [0.5, 0.0, 0.3, 1.0]], np.float32)
    assert outcomes(scores).tolist() == ["right", "wrong", "changed", "changed"]


def test_choose_spreads_over_outcomes_and_types():
    dice = np.random.default_rng(3)
    scores = (dice.random((2, 5000)) < 0.9).astype(np.float32)
    kinds = np.minimum(dice.integers(0, 400, 5000), 39).astype(np.int32)
    rows = choose(scores, kinds, 200)
    assert len(rows) == len(set(rows)) == 200
    assert rows == sorted(rows) == choose(scores, kinds, 200)
    chosen = outcomes(scores[:, rows])
    assert (chosen == "changed").sum() >= 100
    assert (chosen == "right").sum() >= 50
    assert (chosen == "wrong").sum() >= 40, "about fifty of 5,000 are wrong in both"
    assert len(set(kinds[rows].tolist())) == 40, "the rare types are among them"
    preferred = np.zeros(5000, np.bool_)
    preferred[:80] = True
    assert set(choose(scores, kinds, 400, preferred)) >= set(
        np.flatnonzero(preferred & (outcomes(scores) == "changed"))
    )
    assert choose(scores[:, :9], kinds[:9], 200) == list(range(9))


def collected(tmp_path: Path, limit: int = 200, images: bool = True):
    world = write_world(tmp_path / "world", {"baseline": (0.3,), "gs": (0.9,)})
    runs = world.load()
    collector = ExampleCollector(group_runs(runs), limit, world.images if images else None)
    gather(runs, "official", None, collector)
    return collector, world


def test_examples_hold_what_a_reader_needs(tmp_path):
    collector, world = collected(tmp_path)
    payload = collector.payload("ood_test")
    assert not set(payload) & set("<>&\u2028\u2029"), "nothing can end the script element"
    data = json.loads(payload)
    assert [data["splits"][data["first"]], len(data["rows"])] == ["ood_test", 72]
    nasty = next(row for row in data["rows"] if row["q"] == NASTY and data["splits"][row["s"]] == "ood_test")
    answers = {data["texts"][text]: count for text, count in nasty["a"]}
    assert answers[NASTY] == 1
    assert sum(answers.values()) == 10
    assert len(nasty["p"]) == len(nasty["c"]) == 2
    assert nasty["g"]["0"]["attention"] == [0.75, 0.25]
    assert nasty["g"]["1"]["gradient"] == [0.25, 0.75], "shares, not lengths"
    address, width, height = data["images"][nasty["i"]]
    assert address.startswith("data:image/jpeg;base64,")
    assert (width, height) == (60, 40)
    assert collector.without_image == 36, "the world has images of its OOD split only"


def test_no_examples_and_no_images(tmp_path):
    assert collected(tmp_path / "a", limit=0)[0].payload(None) is None
    data = json.loads(collected(tmp_path / "b", limit=5, images=False)[0].payload("absent"))
    assert len(data["rows"]) == 10
    assert data["first"] == ""
    assert {row["i"] for row in data["rows"]} == {-1}


def test_images_are_found_by_number_and_by_name(tmp_path):
    (tmp_path / "val").mkdir()
    for name in ("val/COCO_val2014_000000000042.jpg", "synpic7.PNG", "n161.jpg"):
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    folder = PictureFolder(tmp_path)
    assert folder.find(42).name == "COCO_val2014_000000000042.jpg"
    assert folder.find(161).name == "n161.jpg"
    assert folder.find("synpic7") == folder.find("synpic7.PNG") == tmp_path / "synpic7.PNG"
    assert folder.find(8) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        PictureFolder(tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder"):
        PictureFolder(tmp_path / "absent")


def test_images_are_made_small_and_stop_at_the_budget(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
    for number in range(3):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    (tmp_path / "9.jpg").write_bytes(b"no image")
    embedded = Embedded(PictureFolder(tmp_path), 10_000_000)
    address, width, height = embedded[0]
    assert (width, height) == (1200, 900)
    assert len(address) < LONGEST * LONGEST
    assert embedded[9] is None
    assert embedded[77] is None
    tight = Embedded(PictureFolder(tmp_path), int(1.5 * len(address)))
    assert [tight[number] is not None for number in range(3)] == [True, False, False]
