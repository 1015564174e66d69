"""What the tests of models do by command: help, a short training, predictions, a run taken up again."""

from __future__ import annotations

import csv
import json

import pytest
import yaml

from tests.vqa_gs.tasks.runs import killed_at_the_third_checkpoint
from vqa_gs.cli import main


def without_model(tiny):
    """Returns the settings of the tiny runs without those of another model and its terms."""
    return {name: value for name, value in tiny.items() if name not in ("file", "model", "objectives")}


def help_of(architecture, capsys):
    """Returns what ``vqa-gs train --architecture ... --help-all`` prints."""
    with pytest.raises(SystemExit) as ended:
        main(["train", "--architecture", architecture, "--help-all"])
    assert not ended.value.code
    return capsys.readouterr().out


def assert_trains_by_command(tiny, architecture, model, folder, monkeypatch, lr=0.005, **settings):
    """Trains by command, once whole and once with a break: equal bytes, a loss that falls, answers that repeat.

    Args:
        tiny: settings of the tiny runs.
        architecture: the model's name.
        model: its settings.
        folder: where to.
        monkeypatch: for the break.
        lr: learning rate.
        settings: more flags.
    """
    file = folder / "config.yaml"
    given = without_model(tiny)
    short = {"epochs": 6, "lr": lr, "optimizer": "adam"}
    training = {**given["training"], **short}
    file.write_text(yaml.safe_dump({**given, "architecture": architecture, "model": model, "training": training}))
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]

    def train(out):
        return main(["train", "--config", str(file), *flags, "--out", str(out)])

    assert train(folder / "whole") == 0
    with killed_at_the_third_checkpoint(monkeypatch):
        assert train(folder / "broken") != 0
    assert not (folder / "broken" / "done").exists()
    assert train(folder / "broken") == 0
    for name in ("model.safetensors", "predictions/ood_test.json"):
        assert (folder / "broken" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    losses = [float(row["answer_loss"]) for row in csv.DictReader((folder / "whole" / "epochs.csv").open())]
    assert losses[-1] < 0.95 * losses[0], losses
    files = tiny["data"]["tests"]["ood_test"]
    words = ["predict", "--run", str(folder / "whole"), "--questions", files["questions"]]
    made = ["--features", tiny["data"]["features"], "--out", str(folder / "again.json")]
    assert main([*words, *made, "--grounding", str(folder / "grounding.h5")]) == 0
    again = json.loads((folder / "again.json").read_text())
    assert again == json.loads((folder / "whole" / "predictions" / "ood_test.json").read_text())
