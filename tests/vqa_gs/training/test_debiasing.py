"""Debiasing terms in whole runs: the prior they know, the logits they leave at test time, what is saved of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from vqa_gs.eval.results import read_result_file
from vqa_gs.features.store import RegionStore

from tests.run_settings import task_of
from tests.vqa_gs.training.test_loop import config_of, rows
from vqa_gs.cli import main
from vqa_gs.data.questions import read_question_set
from vqa_gs.objectives import losses
from vqa_gs.training.loop import train
from vqa_gs.training.opened import load

MIXES, KINDS = ("reweight", "product", "learned"), ("rubi", "lpf", "gge", "gge_dq", "cf_vqa")
REPLACING = {
    "expert": [{"mix": mix, "output": form} for mix in MIXES for form in ("sigmoid", "softmax")],
    "question_branch": [{"kind": kind, "hidden": 8} for kind in KINDS],
    "margin": [{}],
}


@pytest.mark.parametrize("name", REPLACING)
def test_terms_in_the_place_of_the_answer_loss_train_and_report(tiny, tmp_path, name):
    for at, settings in enumerate(REPLACING[name]):
        config = config_of(tiny, **{f"objectives__{name}": {"weight": 1.0, **settings}}, training__max_steps=2)
        run = train(config, tmp_path / f"run{at}", quiet=True)
        (row,) = rows(run / "epochs.csv")
        assert row["answer_loss"] == ""
        assert float(row["gs_loss"]) > 0
        named = "question_loss" if name == "question_branch" else f"{name}_loss"
        assert float(row[named]) > 0
        assert any(key.startswith(f"{name}.") for key in load_file(run / "objectives.safetensors"))


def test_masks_and_residual_targets_train_and_report(tiny, tmp_path):
    terms = {"masked_image": {"weight": 0.5, "cosine": 1.0}, "residual_target": {"weight": 1.0}}
    run = train(config_of(tiny, objectives=terms, training__max_steps=2), tmp_path / "run", quiet=True)
    (row,) = rows(run / "epochs.csv")
    assert all(float(row[name]) for name in ("masked_image_loss", "masked_image_cosine", "answer_loss"))
    assert 0 < float(row["residual_target"]) < 1


@pytest.fixture(scope="module")
def counterfactual(tiny, tmp_path_factory):
    """A run that learnt CF-VQA's one number away from 0."""
    branch = {"weight": 1.0, "kind": "cf_vqa", "hidden": 8}
    config = config_of(tiny, objectives__question_branch=branch, training__epochs=3, training__precision="fp32")
    return train(config, tmp_path_factory.mktemp("runs") / "cf", quiet=True)


def predicted(run, tiny, tmp_path):
    files = tiny["data"]["tests"]["ood_test"]
    words = ["--run", str(run), "--questions", files["questions"], "--features", tiny["data"]["features"]]
    assert main(["predict", *words, "--out", str(tmp_path / "r.json")]) == 0
    return read_result_file(tmp_path / "r.json").answers


def test_predict_subtracts_as_the_run_did(counterfactual, tiny, tmp_path):
    learnt = load_file(counterfactual / "objectives.safetensors")
    assert learnt["question_branch.nothing_seen"] != 0
    # A branch that knows what the model says leaves what the model says least: predictions show who subtracted.
    run = read_result_file(counterfactual / "predictions" / "ood_test.json").answers
    assert predicted(counterfactual, tiny, tmp_path) == run
    model, store = load(counterfactual), RegionStore(tiny["data"]["features"])
    questions = read_question_set(tiny["data"]["tests"]["ood_test"]["questions"])
    examples = model._examples(questions, store)
    ((_, out),) = model.predictor.outputs(examples, store, 100)
    (term,) = model.predictor.terms
    model.predictor.terms = ()
    ((_, plain),) = model.predictor.outputs(examples, store, 100)
    with torch.no_grad():
        states, image = term.question.states(plain.question), term.image.states(plain.image())
    number = learnt["question_branch.nothing_seen"]
    with_image, without = plain.logits + states + image, number + states + number
    effect = torch.nn.functional.logsigmoid(with_image) - torch.nn.functional.logsigmoid(without)
    torch.testing.assert_close(out.logits, effect)
    assert [model.answers.answers[label] for label in effect.argmax(1)] == list(run.values())
    assert (effect - plain.logits).abs().max() > 0.1


def test_a_branch_that_was_changed_changes_the_answers(counterfactual, tiny, tmp_path):
    """So what is saved with the run is what predict subtracts; without it nothing is predicted."""
    other = tmp_path / "other"
    shutil.copytree(counterfactual, other)
    tensors = load_file(other / "objectives.safetensors")
    # All that is said of the other answers is said without the image, of the first one nothing.
    tensors["question_branch.nothing_seen"].fill_(-50)
    tensors["question_branch.question.states.4.bias"] = torch.tensor([-100.0, 60.0, 60.0, 60.0])
    save_file(tensors, other / "objectives.safetensors")
    first = json.loads((other / "answers.json").read_text())["answers"][0]
    assert set(predicted(counterfactual, tiny, tmp_path).values()) != {first}
    assert set(predicted(other, tiny, tmp_path).values()) == {first}
    files = tiny["data"]["tests"]["ood_test"]
    words = ["--run", str(other), "--questions", files["questions"], "--features", tiny["data"]["features"]]
    del tensors["question_branch.nothing_seen"]
    save_file(tensors, other / "objectives.safetensors")
    assert main(["predict", *words, "--out", str(tmp_path / "r.json")]) == 2
    (other / "objectives.safetensors").unlink()
    assert main(["predict", *words, "--out", str(tmp_path / "r.json")]) == 2


def test_the_prior_is_of_training_questions_alone(tiny, tmp_path):
    """Held-out images are taken out first, whatever is asked of them does not matter."""
    changes = {"data__iid_val": None, "data__val_fraction": 0.25, "model__standardize": False}
    given = {key: value for key, value in tiny.items() if key != "file"}
    task = task_of(given, **changes)
    prior = task.statistics(task.build_model()).answer_prior()
    annotations = task.data.train.annotations
    assert len(annotations) == 60
    colours = [annotation.majority for annotation in annotations]
    by_hand = [colours.count(answer) / 60 for answer in task.data.answers.answers]
    assert prior.shape == (1, len(by_hand))
    np.testing.assert_allclose(prior[0].numpy(), by_hand, rtol=1e-6)
    everything = json.loads(Path(tiny["data"]["train"]["annotations"]).read_text())
    held = {question.question_id for question in task.data.validation.questions}
    assert len(held) == 20
    for annotation in everything:
        if annotation["question_id"] in held:
            for answer in annotation["answers"]:
                answer["answer"] = "red"
    (tmp_path / "a.json").write_text(json.dumps(everything))
    other = task_of(given, **changes, data__train__annotations=str(tmp_path / "a.json"))
    statistics = other.statistics(other.build_model())
    assert statistics.question_types == ["what color is the"]
    torch.testing.assert_close(statistics.answer_prior(), prior)


def test_reweighting_is_by_all_processes_rows(monkeypatch):
    def all_reduce(value):
        value += 6.0  # the other process's

    monkeypatch.setattr(losses.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(losses.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(losses.distributed, "all_reduce", all_reduce)
    own = torch.tensor(2.0, requires_grad=True)
    found = losses.mean_over_processes(own)
    assert found.item() == 4
    assert not found.requires_grad
    assert own.item() == 2


def test_help_tells_every_term(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help-all"])
    told = capsys.readouterr().out
    for setting in (
        "expert.mix",
        "question_branch.kind",
        "residual_target.residual",
        "masked_image.mask",
        "negative_image.kind",
        "margin.scale",
    ):
        assert f"--objectives.{setting}" in told
    assert "--objectives.random_image" not in told
