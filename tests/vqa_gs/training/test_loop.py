import copy
import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.training.config import config_from_dict
from vqa_gs.training.inference import TrainedModel
from vqa_gs.training.loop import train


def config_of(tiny, **changes):
    values = {key: value for key, value in copy.deepcopy(tiny).items() if key != "file"}
    for path, value in changes.items():
        part = values
        *parents, last = path.split("__")
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return config_from_dict(values)


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return train(config_of(tiny), out, quiet=True)


def rows(path, without=("questions_per_second", "seconds")):
    with open(path, newline="") as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


def test_run_directory_holds_everything(finished, tiny):
    names = {path.name for path in finished.iterdir()}
    assert {"config.yaml", "run.json", "words.json", "answers.json", "model.safetensors", "done"} <= names
    assert "checkpoint.pt" not in names
    record = json.loads((finished / "run.json").read_text())
    assert record["seed"] == 3
    assert len(record["sources"]) == 6
    assert record["environment"]["packages"]["torch"]
    metrics = json.loads((finished / "metrics" / "ood_test.json").read_text())
    assert metrics["scoring"] == "official"
    assert metrics["overall"] > 75  # four colours: chance is 25
    epochs = rows(finished / "epochs.csv")
    assert len(epochs) == 16
    assert float(epochs[-1]["loss"]) < float(epochs[0]["loss"])
    assert float(epochs[-1]["gs_cosine"]) > float(epochs[0]["gs_cosine"])
    assert any(path.name.startswith("events.out") for path in (finished / "tensorboard").iterdir())


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(finished, tiny, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", "import sys; from vqa_gs.cli import main; sys.exit(main())"]
    command += ["train", "--config", tiny["file"], "--out", str(out)]
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = (out / "checkpoint.pt").stat().st_mtime_ns if (out / "checkpoint.pt").exists() else None
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if (out / "checkpoint.pt").exists() and (out / "checkpoint.pt").stat().st_mtime_ns != before:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills >= 2
    train(config_of(tiny), out, quiet=True)
    assert (out / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    for name in ("log.csv", "epochs.csv"):
        assert rows(out / name) == rows(finished / name)
    assert (out / "metrics" / "ood_test.json").read_text() == (finished / "metrics" / "ood_test.json").read_text()


def test_complete_run_is_left_alone_and_other_settings_are_refused(finished, tiny):
    before = (finished / "model.safetensors").stat().st_mtime_ns
    train(config_of(tiny), finished, quiet=True)
    assert (finished / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"training.lr was 0.02, is 0.5"):
        train(config_of(tiny, training__lr=0.5), finished, quiet=True)


def test_seed_decides_everything(tiny, tmp_path):
    short = {"training__max_steps": 3}
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config_of(tiny, seed=seed, **short), tmp_path / name, quiet=True)
        states.append(load_file(tmp_path / name / "model.safetensors"))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    assert rows(tmp_path / "a" / "epochs.csv")[-1]["step"] == "3"


def test_weight_zero_trains_on_the_pairs_as_data_only(tiny, tmp_path):
    run = train(config_of(tiny, objectives__gradient_supervision__weight=0.0), tmp_path / "pairs", quiet=True)
    assert rows(run / "epochs.csv")[0]["gs_loss"] == ""
    assert json.loads((run / "run.json").read_text())["pairs"] > 0


@pytest.mark.parametrize("place", ["regions", "attended"])
@pytest.mark.parametrize("variant", ["true", "contrast", "loss"])
def test_every_variant_and_place_trains(tiny, tmp_path, place, variant):
    settings = {"weight": 0.5, "place": place, "variant": variant, "warmup_epochs": 1.0}
    run = train(
        config_of(tiny, objectives__gradient_supervision=settings, training__max_steps=2), tmp_path / "run", quiet=True
    )
    assert float(rows(run / "epochs.csv")[0]["gs_loss"]) > 0


def test_predict_command_gives_the_runs_own_answers(finished, tiny, tmp_path):
    out = tmp_path / "ood.json"
    questions = tiny["data"]["tests"]["ood_test"]["questions"]
    words = ["predict", "--run", str(finished), "--questions", questions, "--out", str(out)]
    assert main([*words, "--features", tiny["data"]["features"]]) == 0
    ours = json.loads((finished / "predictions" / "ood_test.json").read_text())
    assert json.loads(out.read_text()) == ours


def test_bad_input_is_one_line_and_exit_code_2(finished, tiny, tmp_path, capsys):
    cases = [
        ["train", "--config", tiny["file"], "--out", str(tmp_path / "x"), "--data.features", "nowhere.h5"],
        ["train", "--config", tiny["file"], "--out", str(finished), "--seed", "9"],
        ["predict", "--run", "nowhere", "--questions", "q", "--features", "f", "--out", "o"],
        ["evaluate", "--questions", "nowhere", "--annotations", "a", "--results", "r", "--out", "o"],
        ["report", "nowhere", "--out", str(tmp_path / "r.html")],
        ["features", "info", tiny["file"]],
        ["nothing"],
    ]
    for words in cases:
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "Traceback" not in error
    assert not list(tmp_path.glob("*.html"))


def test_questions_shared_by_training_and_validation_are_refused(tiny, tmp_path):
    with pytest.raises(DataError, match="in the training split too"):
        train(config_of(tiny, data__iid_val=tiny["data"]["train"]), tmp_path / "run", quiet=True)


def test_validation_is_cut_from_training_and_pairs_of_it_are_left_out(tiny, tmp_path):
    run = train(config_of(tiny, data__iid_val=None, training__max_steps=2), tmp_path / "run", quiet=True)
    record = json.loads((run / "run.json").read_text())
    held = json.loads((run / "metrics" / "iid_val.json").read_text())["questions"]
    assert record["questions"] + held == 80
    assert 0 < held <= 12


def test_damaged_model_is_named(finished, tmp_path):
    import shutil

    copy_of = tmp_path / "copy"
    shutil.copytree(finished, copy_of)
    (copy_of / "model.safetensors").write_bytes(b"\x00" * 10)
    with pytest.raises(DataError, match=r"model\.safetensors"):
        TrainedModel(copy_of)
    (copy_of / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json"):
        TrainedModel(copy_of)
