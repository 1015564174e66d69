"""Questions that share their image are answered and learnt from as questions that have it for themselves."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from vqa_gs.features.store import RegionStore

from tests.run_settings import config_of, task_of
from vqa_gs.cli import main
from vqa_gs.contracts import gradient_by
from vqa_gs.data.questions import read_question_set
from vqa_gs.pipeline.image_plan import ImagePlan, shares
from vqa_gs.tasks.vqa.batches import BatchReader
from vqa_gs.tasks.vqa.predictor import Predictor
from vqa_gs.training import loop
from vqa_gs.training.loop import train
from vqa_gs.training.opened import load
from vqa_gs.training.step import TrainingStep

NO_DROPOUT = {"model__dropout_attention": 0.0}
# Terms that draw nothing but what is the same in both layouts.
TERMS = {
    "baseline": {"gradient_supervision": {"weight": 0.0}},
    "gs": {},
    "closed form": {"gradient_supervision": {"weight": 1.0, "cost": "closed_form"}},
    "question gradient": {"gradient_supervision": {"weight": 1.0, "place": "question"}},
    "path": {"path": {"weight": 1.0, "mix": 0.3, "noise": 0.1}},
    "masked": {"masked_image": {"weight": 1.0, "cosine": 0.5}},
    "mixin": {"expert": {"weight": 1.0, "mix": "learned"}, "zero_out": {"weight": 0.1}},
    "counterfactual": {"question_branch": {"weight": 1.0, "kind": "cf_vqa", "image_branch": True, "hidden": 8}},
    "margin": {"margin": {"weight": 1.0}, "residual_target": {"weight": 0.5}},
}


@pytest.fixture(scope="module")
def task(crowded):
    return task_of(crowded, **NO_DROPOUT)


def both_layouts(task, requirements, pairs):
    """Returns one step's batch with shared images and as ever."""
    plan = ImagePlan(task.image_of(), 4, task.pairs, 40, 8, 3)
    ordinary, chosen, *_ = plan.step(0)
    assert len(ordinary) > 30
    chosen = chosen if pairs else chosen[:0]
    # Losses are sums over rows divided by how many there are: each number plays a part.
    sizes = {"rows": float(len(ordinary) + 2 * len(chosen)), "end_rows": float(2 * len(chosen)), "epoch": 5.0}
    words = gradient_by("question") in requirements
    return [
        BatchReader(task.data, task.store, words).read(ordinary, chosen, **sizes, share=share)
        for share in (True, False)
    ]


def learned(task, crowded, terms, **more):
    config = config_of(crowded, objectives=terms, **NO_DROPOUT, **more)
    model = task.build_model()
    step = TrainingStep(model, config.check(), type(task), task.statistics(model))
    return step.train()


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
def test_loss_and_gradients_are_those_of_the_layout_as_ever(task, crowded, terms, pairs):
    step = learned(task, crowded, {"gradient_supervision": {"weight": 1.0}, **terms})
    found = []
    for batch in both_layouts(task, step.requirements, pairs):
        step.zero_grad()
        loss, sums, counts = step(batch)
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in step.named_parameters() if p.grad is not None}
        found.append((batch, loss.detach(), sums, counts, gradients))
    (shared, loss, sums, counts, gradients), (plain, *expected) = found
    assert shared.sharing.width == 4
    assert len(shared.features) < len(plain.features) == len(plain) == len(shared)
    torch.testing.assert_close(loss, expected[0], rtol=1e-5, atol=1e-6)
    for mine, theirs in ((sums, expected[1]), (counts, expected[2])):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == expected[3].keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[3][name], rtol=1e-4, atol=2e-6 * largest)


@pytest.mark.parametrize("activation", ["relu", "gated_tanh"])
@pytest.mark.parametrize("architecture", ["updn", "question_only"])
def test_what_a_model_says_is_the_same(crowded, architecture, activation):
    model = {"hidden": 16, "word_dim": 8, "activation": activation}
    task = task_of(crowded, architecture=architecture, model=model)
    network = task.build_model().double().eval()
    shared, plain = both_layouts(task, frozenset(), False)
    assert not shared.labels.numel()
    answers = []
    for batch in (shared, plain):
        parts = batch.features.double(), batch.boxes.double(), batch.sizes.double(), batch.mask, batch.tokens
        answers.append(network(*parts, batch.sharing))
    for name in ("logits", "attention", "attended", "question", "joint"):
        mine, theirs = (getattr(out, name) for out in answers)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(answers[0].image(), answers[1].image())
    picked = torch.zeros(len(plain), dtype=torch.int64)
    torch.testing.assert_close(answers[0].pick(picked), answers[1].pick(picked))


@pytest.mark.parametrize("kind", ["random_image", "ssl"])
def test_other_images_are_dealt_out_by_image(task, crowded, kind):
    step = learned(task, crowded, {"negative_image": {"weight": 1.0, "kind": kind}})
    batch, _ = both_layouts(task, step.requirements, True)
    seen = []
    outputs = step.forward_pass(step.model, batch, step.requirements)
    ask = outputs.again

    def again(rows, regions, mask, sharing):
        seen.append(regions)
        return ask(rows, regions, mask, sharing)

    outputs.again = again
    term = step.terms["negative_image"]
    assert float(term(outputs).loss.detach()) > 0
    own = outputs.seen.regions[len(batch.labels) :]
    if kind == "random_image":
        assert len(seen[0]) == batch.sharing.images
        assert not any(torch.equal(here, there) for here, there in zip(own, seen[0], strict=True))
    rearranged = {tuple(image.flatten().tolist()) for image in seen[0]}
    assert rearranged == {tuple(image.flatten().tolist()) for image in own}


def test_dropout_on_regions_is_drawn_once_an_image(task):
    network = task.build_model().train()
    network.attention_dropout.p = 0.5
    batch, _ = both_layouts(task, frozenset(), False)
    image = int(np.bincount(batch.sharing.image).argmax())
    tokens = batch.tokens.clone()
    rows = batch.sharing.image == image
    tokens[rows] = tokens[rows][:1]
    network.classifier[1].p = 0.0
    out = network(batch.features, batch.boxes, batch.sizes, batch.mask, tokens, batch.sharing)
    # The same question about one image: the same regions are hidden from it.
    assert rows.sum() > 1
    torch.testing.assert_close(out.logits[rows], out.logits[rows][:1].expand(int(rows.sum()), -1))


def test_a_run_shares_images_in_training_and_scoring_and_goes_on_exactly(crowded, tmp_path, monkeypatch):
    config = config_of(crowded)
    whole = train(config, tmp_path / "whole", quiet=True)
    assert json.loads((whole / "run.json").read_text())["images_shared"] is True
    assert json.loads((whole / "metrics" / "ood_test.json").read_text())["overall"] > 50
    steps = 0

    def breaks(self, batch, take=loop._Run._train_step):
        nonlocal steps
        steps += 1
        assert batch.sharing is not None
        if steps in (3, 6, 7):
            raise KeyboardInterrupt
        take(self, batch)

    monkeypatch.setattr(loop._Run, "_train_step", breaks)
    while not (tmp_path / "broken" / "done").exists():
        with suppress(KeyboardInterrupt):
            train(config, tmp_path / "broken", quiet=True)
    assert (tmp_path / "broken" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    for name in ("predictions/ood_test.json", "metrics/iid_val.json"):
        assert (tmp_path / "broken" / name).read_text() == (whole / name).read_text()


def test_a_model_that_cannot_share_has_its_batches_as_ever(crowded, tmp_path):
    mcan = {"hidden": 8, "word_dim": 8, "heads": 2, "layers": 1, "reduction": 8, "joint": 8}
    runs = []
    for name, share in (("asked", True), ("plain", False)):
        config = config_of(
            crowded, architecture="mcan", model=mcan, training__share_images=share, training__max_steps=3
        )
        runs.append(train(config, tmp_path / name))
    told = "note: questions do not share images: the model mcan of the task vqa cannot"
    assert [(run / "train.log").read_text().count(told) for run in runs] == [1, 0]
    assert (runs[0] / "model.safetensors").read_bytes() == (runs[1] / "model.safetensors").read_bytes()
    assert json.loads((runs[0] / "run.json").read_text())["images_shared"] is False


def test_features_on_the_device_change_nothing(crowded, tmp_path):
    runs = {}
    for where in ("none", "device"):
        config = config_of(crowded, data__resident=where, training__max_steps=5)
        runs[where] = train(config, tmp_path / where, quiet=True)
    told = [json.loads((run / "run.json").read_text())["features_resident"] for run in runs.values()]
    assert told == ["read from the file", "on cpu, 0.00 GB"]
    for name in ("model.safetensors", "predictions/ood_test.json", "metrics/iid_val.json"):
        assert (runs["none"] / name).read_bytes() == (runs["device"] / name).read_bytes()


@pytest.mark.parametrize(("most", "shared"), [(1, False), (4, True)])
def test_left_alone_it_shares_where_images_have_two_questions_and_more(crowded, tmp_path, most, shared):
    files = crowded["data"]["train"]
    questions, annotations = (json.loads(Path(files[name]).read_text()) for name in ("questions", "annotations"))
    count, kept = Counter(), []
    for at, question in enumerate(questions):
        count[question["image_id"]] += 1
        kept += [at] if count[question["image_id"]] <= most else []
    few = {}
    for name, rows in (("questions", questions), ("annotations", annotations)):
        few[name] = str(tmp_path / f"{name}.json")
        Path(few[name]).write_text(json.dumps([rows[at] for at in kept]))
    given = {"training__share_images": "auto", "training__max_steps": 3, "data__train": few, "data__pairs": []}
    config = config_of(crowded, **given, objectives__gradient_supervision={"weight": 0})
    run = train(config, tmp_path / "run", quiet=True)
    assert json.loads((run / "run.json").read_text())["images_shared"] is shared
    assert bool(load(run).predictor.share) is shared


def test_two_questions_an_image_are_enough():
    assert shares("auto", np.array([0, 0, 1, 1]))
    assert not shares("auto", np.array([0, 0, 1]))
    assert not shares("auto", np.array([], np.int64))
    assert shares(True, np.array([0]))
    assert not shares(False, np.array([0, 0, 0]))


@pytest.fixture(scope="module")
def plain_run(crowded, tmp_path_factory):
    return train(config_of(crowded, training__share_images=False), tmp_path_factory.mktemp("plain") / "run", quiet=True)


def test_finished_runs_can_be_asked_either_way(plain_run, crowded, tmp_path):
    files, store = crowded["data"]["tests"]["ood_test"], RegionStore(crowded["data"]["features"])
    questions = read_question_set(files["questions"])
    model = load(plain_run)
    answers = [*model.answers.answers, "never heard of"]
    asked = [
        model.results(questions, store, 16, True, 2),
        model.guesses(questions, store, 2),
        model.logits(questions, store, answers),
    ]
    model.share_images()
    rows = np.concatenate([rows for rows, _ in model.predictor.outputs(model._examples(questions, store), store, 16)])
    assert sorted(rows.tolist()) == list(range(len(questions)))
    assert rows.tolist() != sorted(rows.tolist())
    shared = [
        model.results(questions, store, 16, True, 2),
        model.guesses(questions, store, 2),
        model.logits(questions, store, answers),
    ]
    assert [row.question_id for row in shared[0]] == questions.question_ids
    assert [row.answer for row in shared[0]] == [row.answer for row in asked[0]]
    np.testing.assert_allclose([row.score for row in shared[0]], [row.score for row in asked[0]], rtol=1e-5)
    for here, there in zip(shared[1], asked[1], strict=True):
        assert [guess.answer for guess in here] == [guess.answer for guess in there]
    torch.testing.assert_close(shared[2], asked[2], rtol=2e-3, atol=1e-3)  # float16
    words = ["predict", "--run", str(plain_run), "--questions", files["questions"], "--features", str(store.path)]
    for name, more in (("plain", []), ("shared", ["--share-images"])):
        assert main([*words, "--out", str(tmp_path / f"{name}.json"), *more]) == 0
    assert (tmp_path / "plain.json").read_text() == (tmp_path / "shared.json").read_text()


def test_processes_divide_what_is_asked(plain_run, crowded):
    model, store = load(plain_run), RegionStore(crowded["data"]["features"])
    examples = model._examples(read_question_set(crowded["data"]["tests"]["ood_test"]["questions"]), store)
    predictor = Predictor(model.model, share=3)
    found = [[rows for rows, _ in predictor.outputs(examples, store, 12, rank, 2)] for rank in range(2)]
    rows = np.concatenate([batch for share in found for batch in share])
    assert sorted(rows.tolist()) == list(range(len(examples)))
    assert all(abs(len(batch) - 12) < 5 for share in found for batch in share)
