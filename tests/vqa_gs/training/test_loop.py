import csv
import json
import os
import shlex
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests import run_settings
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.training.loop import train
from vqa_gs.training.run_dir import RunDirectory


def config_of(tiny, **changes):
    return run_settings.config_of({key: value for key, value in tiny.items() if key != "file"}, **changes)


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


def test_every_term_trains_and_reports(tiny, tmp_path):
    weights = {name: {"weight": 0.5} for name in ("path", "zero_out", "negative_image")}
    weights["gradient_supervision"] = {"weight": 0.5, "place": "question"}
    run = train(config_of(tiny, objectives=weights, training__max_steps=2), tmp_path / "run", quiet=True)
    row = rows(run / "epochs.csv")[0]
    for name in ("path_cosine", "zero_out_loss", "negative_image_score"):
        assert float(row[name]) != 0
    assert row["gs_loss"] == ""  # all questions of this world are the same


def test_closed_form_trains_to_the_same_model(finished, tiny, tmp_path):
    closed = config_of(tiny, objectives__gradient_supervision__cost="closed_form", training__max_steps=10)
    plain = config_of(tiny, training__max_steps=10)
    first, second = (
        rows(train(config, tmp_path / str(at), quiet=True) / "epochs.csv") for at, config in enumerate((plain, closed))
    )
    for one, other in zip(first, second, strict=True):
        assert float(one["gs_loss"]) == pytest.approx(float(other["gs_loss"]), rel=1e-3)


def test_predict_command_gives_the_runs_own_answers(finished, tiny, tmp_path):
    out = tmp_path / "ood.json"
    questions = tiny["data"]["tests"]["ood_test"]["questions"]
    words = ["predict", "--run", str(finished), "--questions", questions, "--out", str(out)]
    assert main([*words, "--features", tiny["data"]["features"]]) == 0
    ours = json.loads((finished / "predictions" / "ood_test.json").read_text())
    assert json.loads(out.read_text()) == ours


def test_questions_shared_by_training_and_validation_are_refused(tiny, tmp_path):
    with pytest.raises(DataError, match="in the training split too"):
        train(config_of(tiny, data__iid_val=tiny["data"]["train"]), tmp_path / "run", quiet=True)


def test_validation_is_cut_from_training_and_pairs_of_it_are_left_out(tiny, tmp_path):
    run = train(config_of(tiny, data__iid_val=None, training__max_steps=2), tmp_path / "run", quiet=True)
    record = json.loads((run / "run.json").read_text())
    held = json.loads((run / "metrics" / "iid_val.json").read_text())["questions"]
    assert record["questions"] + held == 80
    assert 0 < held <= 12


def test_validation_that_was_cut_off_depends_on_the_seed_alone(tiny, tmp_path):
    splits = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run = train(config_of(tiny, data__iid_val=None, seed=seed, training__max_steps=1), tmp_path / name, quiet=True)
        answered = json.loads((run / "predictions" / "iid_val.json").read_text())
        splits.append({entry["question_id"] for entry in answered})
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_stops_when_the_in_domain_accuracy_no_longer_rises(tiny, tmp_path):
    # With such a learning rate nothing changes, so the first epoch stays the best.
    run = train(config_of(tiny, training__lr=1e-12, training__patience=2), tmp_path / "run", quiet=True)
    assert len(rows(run / "epochs.csv")) == 3
    assert (run / "done").exists()


def test_last_epoch_is_reported_beside_the_chosen_one(tiny, tmp_path):
    # With so high a learning rate the accuracy jumps about, and the last epoch is not the best.
    config = config_of(tiny, training__lr=2.0, training__epochs=5, training__report_last_epoch=True)
    run = train(config, tmp_path / "run", quiet=True)
    by_epoch = [float(row["iid_val"]) for row in rows(run / "epochs.csv")]
    assert by_epoch[-1] < max(by_epoch)

    def overall(split):
        return json.loads((run / "metrics" / f"{split}.json").read_text())["overall"]

    assert overall("iid_val") == pytest.approx(max(by_epoch))
    assert overall("iid_val_last_epoch") == pytest.approx(by_epoch[-1])
    names = {"iid_val", "ood_test", "iid_val_last_epoch", "ood_test_last_epoch"}
    assert {path.stem for path in (run / "predictions").iterdir()} == names


def test_loss_that_is_no_number_stops_the_run(tiny, tmp_path):
    config = config_of(tiny, training__lr=1e30, training__clip=1e30)
    with pytest.raises(UsageError, match=r"the loss of .* is (nan|inf) after 2 steps \(lower training.lr"):
        train(config, tmp_path / "run", quiet=True)


def test_command_in_the_record_repeats_the_run(tiny, tmp_path, monkeypatch):
    run = train(config_of(tiny, training__max_steps=3), tmp_path / "it's a run", quiet=True)
    record = json.loads((run / "run.json").read_text())
    words = shlex.split(record["command"])
    assert words[:2] == ["vqa-gs", "train"]
    assert main(words[1:]) == 0
    again = tmp_path / "it's a run-again"
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert record["environment"]["git_revision"] is None or len(record["environment"]["git_revision"]) >= 40
    assert record["environment"]["argv"] == sys.argv


def test_runs_of_other_precision_follow_each_other_in_one_process(tiny, tmp_path):
    for name, precision in (("a", "fp32"), ("b", "bf16"), ("c", "fp32")):
        config = config_of(tiny, training__precision=precision, training__max_steps=2)
        run = train(config, tmp_path / name, quiet=True)
        assert json.loads((run / "run.json").read_text())["precision"] == {"fp32": "no", "bf16": "bf16"}[precision]
    first, last = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "c"))
    assert all(torch.equal(first[key], last[key]) for key in first)


def test_a_second_training_in_the_same_folder_is_refused(tiny, tmp_path):
    config = config_of(tiny, training__max_steps=1)
    refusal = pytest.raises(UsageError, match=f"is being trained by another process, {os.getpid()} on")
    with RunDirectory(tmp_path / "run", config).claimed(), refusal:
        train(config, tmp_path / "run", quiet=True)
    assert train(config, tmp_path / "run", quiet=True) == tmp_path / "run"


def test_events_are_readable_by_tensorboard(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars("train/loss")}
    for row in rows(finished / "log.csv"):
        assert logged[int(row["step"])] == pytest.approx(float(row["loss"]), rel=1e-6)
    assert len(events.Scalars("iid_val/overall")) == len(rows(finished / "epochs.csv"))
