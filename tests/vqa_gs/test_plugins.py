"""A term with parameters and a model, each one file of the user's own, trained, resumed and shared out by commands."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file

from tests.vqa_gs.training.test_processes import run_two

TERM = """
import os
from dataclasses import dataclass
from pathlib import Path
import torch
from torch.nn import functional
from vqa_gs.contracts import JOINT, PRIOR, Objective, ObjectiveOutput, reported
from vqa_gs.objectives import OBJECTIVES

# While this file is there, a run ends in its second epoch as if it had been killed.
KILL = Path(__file__).with_name("kill")

@dataclass(frozen=True)
class Settings:
    weight: float = 0.0
    first: float = 0.5

@OBJECTIVES.register("scaled_prior")
class ScaledPrior(Objective):
    Settings = Settings
    logged = ("scaled_loss", "scale")
    replaces = frozenset({"answer"})

    @classmethod
    def requirements(cls, settings):
        return frozenset({JOINT, PRIOR})

    def __init__(self, settings, statistics):
        super().__init__(settings, statistics)
        self.register_buffer("prior", statistics.answer_prior())
        self.scale = torch.nn.Parameter(torch.tensor(settings.first))
        self.gate = torch.nn.Linear(statistics.sizes["joint"], 1)

    def rewrite(self, outputs):
        return outputs.targets.clamp(0.01, 0.99)

    def forward(self, outputs):
        if outputs.batch.epoch > 1 and KILL.exists():
            KILL.unlink()
            os._exit(9)
        assert outputs.targets.max() <= 0.99
        prior = self.prior[outputs.batch.question_type]
        strength = functional.softplus(self.gate(outputs.of_rows("joint").float())) * self.scale
        logits = outputs.logits + strength * torch.log(prior + 0.1)
        loss = functional.binary_cross_entropy_with_logits(logits, outputs.targets, reduction="none").sum(1)
        weight = outputs.row_weight
        report = reported(scaled_loss=(loss, weight), scale=(self.scale.expand_as(loss), weight))
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **report)
"""

MODEL = """
from dataclasses import dataclass
from torch import nn
from vqa_gs.contracts import JOINT, ModelOutput, gradient_by
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa_model import VqaModel, VqaModelSettings

@dataclass(frozen=True)
class Settings(VqaModelSettings):
    slope: float = 1.0

@MODELS.register("sums")
class Sums(VqaModel):
    Settings = Settings

    def __init__(self, region_dim, words, answers, settings):
        super().__init__(region_dim, words, answers, settings)
        self.see, self.read = nn.Linear(self.dim, settings.hidden), nn.Linear(settings.word_dim, settings.hidden)
        self.classify = nn.Linear(settings.hidden, answers)

    @classmethod
    def provides(cls, settings):
        return frozenset({gradient_by("regions"), JOINT})

    def sizes(self):
        return {"joint": self.settings.hidden}

    def encode(self, words, mask, twice):
        return self.read(words.sum(1)).tanh()

    def answer(self, regions, mask, question, trace=False):
        joint = question * self.see((regions * mask.unsqueeze(2)).sum(1) * self.settings.slope).tanh()
        return ModelOutput(self.classify(joint).float(), joint=joint)
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """Names two files, of which the model's stands in a folder, as the user would."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "term.py").write_text(TERM)
    (folder / "models").mkdir()
    (folder / "models" / "sums.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VQA_GS_PLUGINS", f"{folder / 'term.py'}{os.pathsep}{folder / 'models'}")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def words(tiny, out):
    terms = ["--objectives.scaled_prior.weight", "2", "--objectives.gradient_supervision.weight", "1"]
    small = [
        "--model.hidden",
        "8",
        "--model.word_dim",
        "8",
        "--training.epochs",
        "3",
        "--training.checkpoint_every",
        "1",
    ]
    sizes = ["--training.batch_size", "79", "--training.pairs_per_batch", "3", "--training.precision", "fp32"]
    given = ["train", "--config", str(plain(tiny, out)), "--architecture", "sums", *terms, *small, *sizes]
    return [*given, "--out", str(out)]


def plain(tiny, out):
    """The settings of the tiny runs without those of another model."""
    values = {name: value for name, value in tiny.items() if name not in ("file", "model")}
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(values))
    return file


@pytest.fixture(scope="module")
def trained(processes, tiny, plugins, tmp_path_factory):
    """A whole run, one that was killed and went on, one of two processes."""
    folder = tmp_path_factory.mktemp("runs")
    assert processes.run(*words(tiny, folder / "whole")).returncode == 0
    (plugins / "kill").touch()
    assert processes.run(*words(tiny, folder / "killed")).returncode == 9
    assert not (folder / "killed" / "done").exists()
    assert processes.run(*words(tiny, folder / "killed")).returncode == 0
    files, store = tiny["data"]["tests"]["ood_test"], tiny["data"]["features"]
    given = ["--run", str(folder / "whole"), "--questions", files["questions"], "--features", store]
    assert processes.run("predict", *given, "--out", folder / "again.json").returncode == 0
    (code, error), _ = (rank[0] for rank in run_two(processes, [words(tiny, folder / "two")]))
    assert code == 0, error
    return folder


def test_the_parameters_of_a_term_are_trained_and_saved(trained):
    term = load_file(trained / "whole" / "objectives.safetensors")
    assert set(term) == {f"scaled_prior.{name}" for name in ("prior", "scale", "gate.weight", "gate.bias")}
    assert term["scaled_prior.scale"] != 0.5
    header, *rows = (trained / "whole" / "epochs.csv").read_text().splitlines()
    assert {"scaled_loss", "scale", "gs_cosine"} <= set(header.split(","))
    assert len({row.split(",")[header.split(",").index("scale")] for row in rows}) == 3
    assert not any(row.split(",")[header.split(",").index("answer_loss")] for row in rows)  # it was replaced
    # Of each question type, some answer is given: the rows of the prior are mean soft targets.
    assert (term["scaled_prior.prior"].sum(1) > 0.2).all()
    assert term["scaled_prior.prior"].max() <= 1


def test_killed_and_resumed_it_ends_with_the_same_bytes(trained):
    for name in ("model.safetensors", "objectives.safetensors", "predictions/ood_test.json"):
        assert (trained / "killed" / name).read_bytes() == (trained / "whole" / name).read_bytes()


def test_two_processes_train_what_one_trains(trained):
    for name in ("model.safetensors", "objectives.safetensors"):
        one, two = load_file(trained / "whole" / name), load_file(trained / "two" / name)
        for key, tensor in one.items():
            torch.testing.assert_close(two[key], tensor, rtol=1e-4, atol=2e-4, msg=lambda text, k=key: f"{k} {text}")


def test_predict_knows_the_model(trained):
    again, own = trained / "again.json", trained / "whole" / "predictions" / "ood_test.json"
    assert json.loads(again.read_text()) == json.loads(own.read_text())


def test_a_broken_plugin_is_named(processes, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    done = processes.run("train", "--help", VQA_GS_PLUGINS=str(tmp_path / "broken.py"))
    assert done.returncode == 2
    assert "broken.py cannot be imported: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
