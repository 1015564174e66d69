"""`vqa-gs study` and what it prepares with: the demo world on disk, noisy stores, controls of a table's first pairs."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.table import read_pair_table

from vqa_gs.cli import main
from vqa_gs.demo.noise import add_noise
from vqa_gs.study.plan import make_plan
from vqa_gs.training.config import config_from_dict

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", ["study-demo", "study-demo-noise", "study-vqa2-mini", "study-share-images"])
def test_the_studies_of_the_project_are_valid(name, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    monkeypatch.setenv("VQA_DATA", "/data/vqa")
    plan = make_plan(CONFIGS / f"{name}.yaml", "out")
    assert len(plan.spec.seeds) >= 5
    assert len(plan.runs) == len(plan.arms) * len(plan.spec.seeds) * len(plan.spec.datasets)
    made = {file for step in plan.spec.prepare for file in step.files}
    named = {file for run in plan.runs for file in [run.config.data.features, *run.config.data.pairs]}
    assert named <= made
    assert all(arm.against for arm in plan.arms if arm.name not in ("baseline", plan.spec.control))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_configuration_is_valid_where_data_have_a_folder(file, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    monkeypatch.setenv("VQA_DATA", "/data/vqa")
    if "arms" in yaml.safe_load(file.read_text()):
        named = {name for run in make_plan(file, "out").runs for name in run.config.data.files()}
    else:
        config = config_from_dict(yaml.safe_load(file.read_text()))
        config.check()
        named = set(config.data.files())
    assert named
    # Beside data, what the study makes and what README's commands make in the folder they are called in.
    assert all(name.startswith(("/data/vqa/", "out/")) or name in ("mini.h5", "rad.h5") for name in named)


def test_the_demo_world_prepared(tmp_path, capsys):
    out = tmp_path / "demo"
    words = ["demo", "--prepare-only", "--out", str(out), "--noise", "0.5"]
    for option, value in (("train_images", 12), ("iid_val_images", 3), ("ood_test_images", 3), ("edits", 8)):
        words += [f"--world.{option}", str(value)]
    assert main(words) == 0
    assert str(out / "pairs.h5") in capsys.readouterr().out
    assert len(read_pair_table(out / "pairs.h5")) == 8
    assert not (out / "runs").exists()

    clean, noisy = RegionStore(out / "regions.h5"), RegionStore(out / "regions-noise-0.5.h5")
    assert noisy.image_ids == clean.image_ids
    features = np.concatenate([clean[image].features for image in clean.image_ids])
    noise = np.concatenate([noisy[image].features for image in clean.image_ids]) - features
    varies = features.std(axis=0) > 0
    ratio = noise.std(axis=0)[varies] / features.std(axis=0)[varies]
    assert ratio.mean() == pytest.approx(0.5, rel=0.02)
    assert np.array_equal(noisy[clean.image_ids[0]].boxes, clean[clean.image_ids[0]].boxes)
    before = (out / "regions-noise-0.5.h5").stat().st_mtime_ns
    add_noise(out / "regions.h5", out / "regions-noise-0.5.h5", 0.5)
    assert (out / "regions-noise-0.5.h5").stat().st_mtime_ns == before

    world, table = out / "world", out / "shuffled.h5"
    words = ["pairs", "build", "--kind", "shuffled", "--shuffled.of", str(out / "pairs.h5"), "--shuffled.first", "5"]
    for option, split in (("", "train"), ("edited-", "edited")):
        for kind in ("questions", "annotations"):
            words += [f"--{option}{kind}", str(world / f"{split}_{kind}.json")]
    assert main([*words, "--features", str(out / "regions.h5"), "--out", str(table)]) == 0
    first, shuffled = read_pair_table(out / "pairs.h5").select(range(5)), read_pair_table(table)
    assert shuffled.question_a.tolist() == first.question_a.tolist()
    assert sorted(shuffled.question_b.tolist()) == sorted(first.question_b.tolist())
    assert all(a != b for a, b in zip(shuffled.question_b.tolist(), first.question_b.tolist(), strict=True))
    assert shuffled.settings["shuffled"]["first"] == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--noise", "0.5"], "--noise goes with --prepare-only"),
        (["--prepare-only", "--noise", "-1"], "a noise of -1"),
    ],
)
def test_bad_noise(words, expected, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
    assert not (tmp_path / "demo").exists()
