"""Multi-label images through the training loop: label vectors, pairs a class each, gradients class by class."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from vqa_gs.features.writer import RegionStoreWriter

from tests.run_settings import config_of, task_of
from tests.vqa_gs.tasks.label_images import CATEGORIES, DIM, REGIONS, Drawn
from tests.vqa_gs.tasks.runs import assert_gradients_are_numeric, metrics, short_training, train_with_a_break
from tests.vqa_gs.training.test_loop import rows
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.models.labels import LABEL_MODELS
from vqa_gs.objectives.losses import answer_loss
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.pipeline.plan import Plan
from vqa_gs.tasks.multilabel.examples import changed_classes
from vqa_gs.training.config import load_config
from vqa_gs.training.loop import train
from vqa_gs.training.opened import load
from vqa_gs.training.step import TrainingStep


@pytest.fixture(scope="module")
def finished(labels, tmp_path_factory):
    return train(config_of(labels), tmp_path_factory.mktemp("runs") / "gs", quiet=True)


def test_run_directory_is_that_of_every_run(finished, labels):
    record = json.loads((finished / "run.json").read_text())
    assert (record["task"], record["pairs"], record["questions"], record["scoring"]) == ("multilabel", 24, 24, "mAP")
    assert load_config(finished / "config.yaml") == config_of(labels)
    assert json.loads((finished / "classes.json").read_text())[1] == {"id": 18, "name": "dog"}
    for split in ("iid_val", "test_original", "ood_edited", "ood_hard_edited"):
        measured = metrics(finished, split)
        assert measured["scoring"] == "mAP"
        assert set(measured["per_answer_type"]) <= set(CATEGORIES.values())
        assert measured["overall"] == pytest.approx(np.mean(list(measured["per_answer_type"].values())))
    assert metrics(finished, "test_original")["overall"] > 90
    epochs = rows(finished / "epochs.csv")
    assert float(epochs[-1]["gs_cosine"]) > float(epochs[0]["gs_cosine"])


def test_predictions_are_the_models(finished, labels):
    task = task_of(labels)
    model = task.build_model().eval()
    model.load_state_dict(load_file(finished / "model.safetensors"))
    written = json.loads((finished / "predictions" / "ood_edited.json").read_text())
    assert [row["image_id"] for row in written] == list(task.tests[1].image_ids)
    for row in (written[0], written[-1]):
        regions = torch.from_numpy(task.store[row["image_id"]].features)[None]
        scores = model(regions, torch.ones(1, REGIONS, dtype=torch.bool)).sigmoid()[0]
        torch.testing.assert_close(torch.tensor(row["scores"]), scores, rtol=1e-4, atol=1e-6)


def test_a_model_of_another_size_takes_no_memory(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["architecture"], settings["model"]["hidden"] = "mlp", 1_000_000_000  # 4 GB for each row of weights
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(DataError, match=r"model\.safetensors: holds another model"):
        load(run)


def test_predict_gives_the_probabilities_of_the_run(finished, labels, tmp_path, capsys):
    words = ["predict", "--run", str(finished), "--out", str(tmp_path / "p.json"), "--features"]
    assert main([*words, labels["data"]["features"], "--allow-other-features"]) == 0
    given = {row["image_id"]: row["scores"] for row in json.loads((tmp_path / "p.json").read_text())}
    expected = json.loads((finished / "predictions" / "test_original.json").read_text())
    for row in expected:
        assert given[row["image_id"]] == pytest.approx(row["scores"], abs=1e-5)
    capsys.readouterr()
    assert main([*words, labels["data"]["features"], "--questions", "q.json"]) == 2
    assert "--questions does not go with --features of the task multilabel" in capsys.readouterr().err


def test_resumed_run_ends_with_the_same_bytes(finished, labels, tmp_path, monkeypatch):
    run = train_with_a_break(config_of(labels), tmp_path / "run", monkeypatch)
    assert (run / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


# A pair of two changed classes, one of one, one of none.
ENDS_A = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0]], bool)
ENDS_B = np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]], bool)


def test_pairs_stand_once_for_each_class_that_changes():
    pair, changed, share = changed_classes(ENDS_A, ENDS_B)
    assert pair.tolist() == [0, 0, 1, 2]
    assert changed.tolist() == [0, 3, 3, -1]
    assert share.tolist() == [0.5, 0.5, 1.0, 1.0]


@pytest.fixture
def several(labels, drawn, tmp_path):
    """Settings in which one pair changes two classes, one none, and one image is in two pairs."""
    own = Drawn(tmp_path, np.random.default_rng(4))
    own.regions = dict(drawn.regions)
    images = {}
    for at, row in enumerate(np.concatenate([ENDS_A, ENDS_B])):
        images[700 + at], own.regions[700 + at] = row, own.image(row, 0.0)
    originals = own.write("originals", {number: images[number] for number in (700, 701, 702)})
    edited = own.write("edits", {number: images[number] for number in (703, 704, 705)})
    (tmp_path / "pairs.json").write_text(json.dumps([[700, 703], [701, 704], [702, 705], [701, 705]]))
    data = {"train": originals, "edited": edited, "pairs": [str(tmp_path / "pairs.json")], "features": own.store()}
    return {**labels, "data": {**labels["data"], **data}}


def first_batch(task, requirements):
    batch = task.batcher(Plan(3, 4, 3, 4, 0), requirements)(0)
    for name in ("features", "targets", "weight", "row_weight"):
        setattr(batch, name, getattr(batch, name).double())
    return batch


def supervised(task, place, variant="true"):
    model = task.build_model().double()
    settings = GradientSupervisionSettings(weight=1.0, place=place, variant=variant)
    return model, TrainingStep(model, {"gradient_supervision": settings}, type(task))


@pytest.mark.parametrize("architecture", LABEL_MODELS.names())
@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("place", ["regions", "pooled"])
@pytest.mark.parametrize("variant", ["true", "contrast"])
def test_loss_is_that_of_each_changed_class(several, architecture, pooling, place, variant):
    task = task_of(several, architecture=architecture, model__pooling=pooling)
    model, step = supervised(task, place, variant)
    loss = step(first_batch(task, step.requirements))[0].item()

    def seen(image_id):
        regions = torch.from_numpy(task.store[image_id].features).double()[None]
        mask = torch.ones(1, REGIONS, dtype=torch.bool)
        prepared = model.prepare_regions(regions, mask)
        return mask, (prepared if place == "regions" else model.pool(prepared, mask)).detach()

    def gradient(image_id, number):
        mask, x = seen(image_id)
        x.requires_grad_()
        pooled = model.pool(x, mask) if place == "regions" else x
        return torch.autograd.grad(model.classify(pooled)[0, number], x)[0].flatten()

    total = 0.0
    shown = dict(zip(range(700, 706), [*ENDS_A, *ENDS_B], strict=True))
    for a, b in ((700, 703), (701, 704), (702, 705), (701, 705)):
        changed = np.flatnonzero(shown[a] != shown[b])
        for own, other in ((a, b), (b, a)):
            way = (seen(own)[1] - seen(other)[1]).flatten()
            for number in changed:
                # The logit rises towards the end that shows the class.
                sign = 1 if shown[own][number] else -1
                cos = torch.nn.functional.cosine_similarity(sign * gradient(own, int(number)), way, dim=0)
                total += (1 - cos.item()) / len(changed)
    assert loss == pytest.approx(total / 8)


@pytest.mark.parametrize("architecture", LABEL_MODELS.names())
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_parameter_gradient_against_finite_differences(several, architecture, pooling):
    task = task_of(several, architecture=architecture, model__pooling=pooling)
    model, step = supervised(task, "regions")
    parameters = dict(model.named_parameters())
    assert_gradients_are_numeric(step, first_batch(task, step.requirements), parameters, unused=True)


def test_pair_ends_count_once_each_as_data(several):
    task = task_of(several)
    model = task.build_model().double()
    step = TrainingStep(model, {"answer": AnswerSettings()}, type(task))
    loss = step(first_batch(task, step.requirements))[0].item()
    total = 0.0
    for image_id in (700, 701, 702, 701, 703, 704, 705, 705, 700, 701, 702):  # ends a, ends b, originals
        regions = torch.from_numpy(task.store[image_id].features).double()[None]
        row = torch.from_numpy(np.concatenate([ENDS_A, ENDS_B])[image_id - 700]).double()[None]
        total += answer_loss(model(regions, torch.ones(1, REGIONS, dtype=torch.bool)), row).item()
    assert loss == pytest.approx(total / 11)


def test_pairs_without_a_changed_class_leave_gradient_supervision_nothing_to_do(several):
    (path,) = several["data"]["pairs"]
    with open(path, "w") as file:
        json.dump([[702, 705]], file)
    task = task_of(several)
    _, step = supervised(task, "regions")
    loss, _, counts = step(task.batcher(Plan(3, 1, 3, 1, 0), step.requirements)(0))
    assert (loss.item(), counts["gs_loss"].item()) == (0.0, 0.0)


def test_regions_at_other_boxes_are_matched(labels, tmp_path):
    """The edited images' regions in another order: what corresponds to what is found, so the loss stays what it is."""
    store = task_of(labels).store
    with RegionStoreWriter(tmp_path / "turned.h5", dim=DIM, dtype="float32", fingerprint="made up") as writer:
        for image_id in store.image_ids:
            order, found = slice(None, None, -1 if 500 <= image_id < 600 else 1), store[image_id]
            writer.add(image_id, found.features[order], found.boxes[order], (8, 8))
    losses = []
    for features in (labels["data"]["features"], str(tmp_path / "turned.h5")):
        task = task_of(labels, data__features=features, architecture="mlp", model__pooling="attention")
        _, step = supervised(task, "regions")
        batch = task.batcher(Plan(24, 24, 8, 8, 0), step.requirements)(0)
        batch.features = batch.features.double()
        losses.append(step(batch)[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ({"gradient_supervision": {"weight": 1.0, "place": "words"}}, "needs the gradient by words"),
        ({"gradient_supervision": {"weight": 1.0, "cost": "closed_form"}}, "needs the gradient by attended"),
        ({"negative_image": {"weight": 1.0}}, "negative_image needs another forward pass"),
    ],
)
def test_objectives_of_questions_are_refused(labels, tmp_path, objectives, message):
    with pytest.raises(UsageError, match=message):
        train(config_of(labels, objectives=objectives), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_command_line(labels, tmp_path, capsys):
    words = short_training(labels, tmp_path, "run")
    assert main([*words, "--architecture", "mlp", "--model.pooling", "attention"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'run'}\n"
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "r.html"), "--markdown"]) == 0
    page = (tmp_path / "r.md").read_text()
    assert "Average precision by class" in page
    assert "Mean average precision in %" in page
    assert main([*short_training(labels, tmp_path, "other"), "--data.train", str(tmp_path / "none.json")]) == 2
    assert "none.json: no such COCO instances file" in capsys.readouterr().err
