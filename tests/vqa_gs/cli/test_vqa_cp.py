"""The recipe of docs/vqa-cp.md end to end, on made-up files of the official names at a hundredth of their size."""

import json
from pathlib import Path

import pytest
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.table import read_pair_table

from benchmarks.made_up import half_of, images_of, write_attention, write_hints, write_questions, write_tsv
from vqa_gs.cli import main
from vqa_gs.cli.pairs import build

SCALE, DIM = 0.01, 16
STUDY = Path(__file__).parents[3] / "configs" / "study-vqa-cp-v2.yaml"
# Those that need no VQA-HAT, and those that do.
EVERY_ARM = (
    ["UpDn", "LMH", "pairs as data", "pairs + GS", "LMH + pairs as data", "LMH + pairs + GS"],
    ["masks as data", "masks + GS", "random masks + GS"],
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder as docs/vqa-cp.md wants it, and the store made in it."""
    folder = tmp_path_factory.mktemp("vqa")
    made = write_questions(folder, SCALE)
    write_attention(folder, made["train"], SCALE)
    write_hints(folder, made["train"])
    halves = map(str, write_tsv(folder, SCALE, DIM))
    assert main(["features", "convert", *halves, "--dtype", "float16", "--out", str(folder / "regions.h5")]) == 0
    return folder


def asked(data, split):
    return [word for kind in ("questions", "annotations")
            for word in (f"--{kind}", str(data / f"vqacp_v2_{split}_{kind}.json"))]  # fmt: skip


def checked(data, split, *more):
    out = data / "check.json"
    code = main(["data", "check", *asked(data, split), *more, "--out", str(out)])
    return code, json.loads(out.read_text())


def test_both_halves_become_one_store(data):
    store = RegionStore(data / "regions.h5")
    assert sorted(store.image_ids) == list(images_of(SCALE))
    assert {half_of(image) for image in store.image_ids} == {"train2014", "val2014"}
    assert (store.dim, store.dtype, set(store.counts(store.image_ids))) == (DIM, "float16", {36})


def test_data_check(data):
    code, found = checked(data, "train", "--features", str(data / "regions.h5"))
    assert (code, found["questions"], found["answers"], found["missing"]) == (0, 4_382, 43_820, [])
    train = str(data / "vqacp_v2_train_annotations.json")
    code, found = checked(data, "test", "--features", str(data / "regions.h5"), "--train-annotations", train)
    assert (code, found["questions"], found["missing"]) == (0, 2_199, [])
    assert "none of the published sets" in found["recognised"]


def test_masks_from_hints(data, tmp_path, capsys):
    words = ["--kind", "masked", "--masked.evidence", "hints", "--hints.file", str(data / "train_cpv2_hintscore.json")]
    words += ["--masked.answer", "empty", "--features", str(data / "regions.h5"), "--out", str(tmp_path / "masks.h5")]
    build([*words, *asked(data, "train")])
    table = read_pair_table(tmp_path / "masks.h5")
    assert len(table) == 439
    assert 0.3 < table.distance.mean() < 0.5  # scores of 0.6 and more, of 0 to 1


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([["UpDn", "LMH + pairs + GS", "masks + GS"]], id="some arms"),
        pytest.param(EVERY_ARM, id="every arm", marks=pytest.mark.slow),
    ],
)
def test_the_study(calls, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VQA_DATA", "/not/here")
    out = tmp_path / "study"
    few = ["training.max_steps=4", "training.device=cpu", "model.hidden=16", "model.word_dim=8"]
    words = ["study", "--config", str(STUDY), "--out", str(out), "--seeds", "1", "--set", f"data_dir={data}", *few]
    maps = data / "vqahat_train"
    for arms in calls:
        if calls is EVERY_ARM and "UpDn" in arms:
            maps = maps.rename(data / "not to be read")
        assert main([*words, "--arms", *arms]) == 0
        maps = maps.rename(data / "vqahat_train")
    trained = [arm for arms in calls for arm in arms]
    told = json.loads((out / "study.json").read_text())
    arms = [arm["name"] for arm in told["datasets"][0]["arms"]]
    assert arms == [arm for part in EVERY_ARM for arm in part]
    runs = sorted((out / "runs").glob("*/seed1"))
    assert len(runs) == len(trained)
    for run in runs:
        splits = {"iid_val", "ood_test", "iid_val_last_epoch", "ood_test_last_epoch"}
        assert {file.stem for file in (run / "metrics").iterdir()} == splits
        assert len(json.loads((run / "predictions" / "ood_test.json").read_text())) == 2_199
    page = tmp_path / "cp.html"
    assert main(["report", *map(str, runs), "--out", str(page), "--published", "vqa-cp-v2", "--markdown"]) == 0
    text = page.with_suffix(".md").read_text()
    assert all(arm in text for arm in trained)
    assert "CSS" in page.read_text()  # a published result beside


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ("vqa-cp-v2.yaml", "vqacp_v2_train_questions.json"),
        ("vqa-cp-v1.yaml", "vqacp_v1_train_questions.json"),
        ("vqa-v2.yaml", "v2_OpenEnded_mscoco_train2014_questions.json"),
    ],
)
def test_configurations_name_the_official_files(config, file, data, tmp_path, capsys):
    words = ["train", "--config", str(STUDY.with_name(config)), "--out", str(tmp_path / "run")]
    words += ["--data.features", str(data / "regions.h5"), "--data_dir", str(tmp_path)]
    assert main(words) == 2
    assert f"{tmp_path / file}: " in capsys.readouterr().err
