"""From nothing to a study of multi-label classifiers: `vqa-gs demo --objects-only`, then `vqa-gs study`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from vqa_gs.cli import main

SMALL = {
    "train_images": 16,
    "iid_val_images": 8,
    "test_images": 8,
    "train_edits": 12,
    "iid_val_edits": 8,
    "test_edits": 16,
}


@pytest.mark.slow
def test_study_of_the_demos_objects(tmp_path, capsys):
    study = yaml.safe_load(Path("configs/multilabel-demo.yaml").read_text())
    out = tmp_path / "study"
    (step,) = study["prepare"]
    world = str(out / "world")
    words = [str(word).replace("{out}", str(out)) for word in step["run"]]
    assert words[:4] == ["demo", "--objects-only", "--out", world]
    assert main(words + [word for name, value in SMALL.items() for word in (f"--objects.{name}", str(value))]) == 0
    assert f"{world}/world, {world}/regions.h5" in capsys.readouterr().out
    assert all(Path(file.replace("{out}", str(out))).exists() for file in step["makes"])

    study.pop("prepare")
    study |= {"seeds": [1], "datasets": {"attention, MLP": study["datasets"]["attention, MLP"]}}
    study["settings"]["training"] |= {"batch_size": 8, "pairs_per_batch": 4}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    given = ["study", "--config", str(tmp_path / "study.yaml"), "--out", str(out), "--set", "training.epochs=2"]
    assert main(given) == 0
    found = json.loads((out / "study.json").read_text())["datasets"][0]
    arms = [arm["name"] for arm in found["arms"]]
    assert arms == ["original", "original + edited", "+ GS", "+ GS, shuffled partners"]
    assert [arm["pairs"] for arm in found["arms"]] == [0, 12, 12, 12]
    splits = {one["split"] for one in found["measures"]}
    assert splits == {"iid_val", "test_original", "ood_edited", "ood_hard_edited"}
    assert {one["scoring"] for one in found["measures"]} == {"mAP"}
    page = (out / "study.md").read_text()
    assert "## By class" in page
    assert "(16 images)" in page


def test_noise_goes_with_what_trains_nothing(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "x"), "--noise", "1"]) == 2
    assert "--noise goes with --prepare-only or --objects-only" in capsys.readouterr().err
    assert main(["demo", "--objects-only", "--out", str(tmp_path / "x"), "--objects.company", "2"]) == 2
    assert "company is 2.0" in capsys.readouterr().err
