"""Every command that writes, killed at random moments; training has tests of its own beside its loop and its tasks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.killing import assert_survives_kills
from tests.vqa_gs.cli.conftest import build_pairs, write_fixed36
from vqa_gs.cli import main


def _convert(here, out):
    return ["features", "convert", str(here.folder / "train36.hdf5"), "--out", str(out / "x.h5")]


def _export(here, out):
    return ["features", "export", str(here.store), "--format", "tsv", "--out", str(out / "x.tsv")]


def _merge(here, out):
    return ["features", "merge", str(here.store), "--out", str(out / "x.h5")]


def _extract(here, out):
    words = ["features", "extract", "--images", str(here.folder / "pictures"), "--out", str(out / "x.h5")]
    return [*words, "--backbone", "resnet18", "--weights", "random", "--device", "cpu", "--batch-size", "1"]


def _pairs(here, out):
    return [*build_pairs(here), "--out", str(out / "x.h5")]


def _split(here, out):
    files = [str(here.folder / f"split_{name}.json") for name in ("questions", "annotations")]
    return ["split", "changing-priors", "--questions", files[0], "--annotations", files[1], "--out", str(out)]


def _predict(here, out):
    words = ["predict", "--run", str(here.run), "--questions", str(here.questions), "--features", str(here.store)]
    return [*words, "--out", str(out / "x.json"), "--scores", "--grounding", str(out / "g.h5")]


def _evaluate(here, out):
    words = ["evaluate", "--questions", str(here.questions), "--annotations", str(here.annotations)]
    return [*words, "--results", str(here.results), "--out", str(out / "x.json")]


def _compare(here, out):
    return ["compare", str(here.run), str(here.run), "--bootstrap", "100", "--out", str(out / "x.json")]


def _report(here, out):
    return ["report", str(here.run), "--out", str(out / "x.html"), "--markdown", "--csv", "--latex"]


def _study(here, out):
    return ["study", "--config", str(here.folder / "study.yaml"), "--out", str(out)]


def _show_boxes(here, out):
    words = ["features", "show", str(here.store), "--image-dir", str(here.folder / "pictures"), "--image-id"]
    return [*words, "0", "--out", str(out / "x.png")]


def _show_pairs(here, out):
    words = ["pairs", "show", str(here.pairs), "--questions", str(here.train_questions)]
    return [*words, "--annotations", str(here.train_annotations), "--html", str(out / "x.html")]


def _controls(here, out):
    words = [*_evaluate(here, out), "--controls", "--train-annotations", str(here.train_annotations)]
    return [str(here.ranked) if word == str(here.results) else word for word in words]


def _groups(here, out):
    words = [
        "split",
        "image-groups",
        "--questions",
        str(here.questions),
        "--features",
        str(here.store),
        "--distance",
        "0.5",
    ]
    return [*words, "--out", str(out / "x.json")]


def _from_csv(here, out):
    words = ["data", "from-csv", str(here.folder / "answers.csv"), "--images", str(here.folder / "pictures")]
    return [*words, "--out", str(out / "made")]


def _demo(here, out):
    world = ["--world.train_images", "60", "--world.iid_val_images", "5", "--world.ood_test_images", "5"]
    return ["demo", "--out", str(out), "--epochs", "1", "--seeds", "1", "--world.edits", "5", *world]


ALL = [_convert, _export, _merge, _pairs, _split, _predict, _evaluate, _compare, _report]
ALL += [_controls, _groups, _from_csv, _show_boxes, _show_pairs]
SLOW = [_extract, _study, _demo]


def _write_questions(folder):
    """Three question types with two answers each, in groups that a split can part."""
    questions, annotations = [], []
    for key in range(300):
        kind, answer = ("is there a", "is it", "are there")[key % 3], "yes" if key // 3 % 4 else "no"
        common = {"question_id": key, "image_id": key // 2}
        questions.append({**common, "question": f"{kind} dog?"})
        told = [{"answer": answer, "answer_id": number} for number in range(1, 11)]
        kinds = {"question_type": kind, "answer_type": "yes/no"}
        annotations.append({**common, **kinds, "multiple_choice_answer": answer, "answers": told})
    for name, rows in (("questions", questions), ("annotations", annotations)):
        (folder / f"split_{name}.json").write_text(json.dumps(rows))


def _prepare(here):
    _write_questions(here.folder)
    here.ranked = here.folder / "ranked.json"
    asked = ["--questions", str(here.questions), "--features", str(here.store), "--out", str(here.ranked)]
    assert main(["predict", "--run", str(here.run), *asked, "--top-k", "5"]) == 0
    write_fixed36(here.folder, range(40))
    (here.folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
        picture.save(here.folder / "pictures" / f"{number}.png")
    with open(here.folder / "answers.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["image", "question", "answer"], *([f"{n}.png", "what is it", n] for n in range(6))]
        )
    settings = {"training.max_steps": 2}
    study = {"base": here.config, "arms": {"a": settings, "b": {"extends": "a", "training.lr": 0.01}}, "seeds": [1, 2]}
    (here.folder / "study.yaml").write_text(yaml.safe_dump(study))


def _same_every_time(name):
    """Whether a file of these commands holds neither times nor the folder that it lies in."""
    if "runs/" in name:
        return name.endswith((".safetensors", "words.json", "answers.json", "predictions/ood_test.json"))
    told = ("report.html", "study.html", "study.md", "study.json", "split.json", ".log")  # they tell how they were made
    if name == "pairs.h5":  # the demonstration's: it names the files in its folder that it was made from
        return False
    return not name.endswith(told) and "worker" not in name


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.__name__[1:])
def test_killed_once(processes, here, tmp_path, command):
    _prepare(here)
    folder = tmp_path / "kills"
    folder.mkdir()
    assert_survives_kills(processes, lambda out: command(here, out), folder, 1, 0, _same_every_time)


@pytest.mark.slow
@pytest.mark.parametrize("command", [*ALL, *SLOW], ids=lambda command: command.__name__[1:])
def test_killed_many_times(processes, here, tmp_path, command):
    _prepare(here)
    folder = tmp_path / "kills"
    folder.mkdir()
    assert_survives_kills(processes, lambda out: command(here, out), folder, 25, 1, _same_every_time)
