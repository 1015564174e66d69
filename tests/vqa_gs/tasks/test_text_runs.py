"""Text tasks through the training loop that visual questions use."""

import csv
import json
import re
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file
from vqa_gs.eval.report.write import write_report
from vqa_gs.eval.run_files import find_runs, load_run

from tests.run_settings import config_of, task_of
from tests.vqa_gs.tasks.runs import assert_gradients_are_numeric, metrics, short_training, train_with_a_break
from tests.vqa_gs.training.test_loop import rows
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.contracts import direction_of, gradient_by
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.pipeline.plan import Plan
from vqa_gs.training.config import load_config
from vqa_gs.training.loop import train
from vqa_gs.training.opened import load
from vqa_gs.training.step import TrainingStep

BY_WORDS = frozenset({gradient_by("words"), direction_of("words")})


@pytest.fixture(scope="module")
def finished(sentiment, tmp_path_factory):
    return train(config_of(sentiment), tmp_path_factory.mktemp("runs") / "gs", quiet=True)


def test_run_directory_is_that_of_every_run(finished, sentiment):
    names = {path.name for path in finished.iterdir()}
    assert {"config.yaml", "run.json", "words.json", "answers.json", "model.safetensors", "done"} <= names
    record = json.loads((finished / "run.json").read_text())
    assert (record["task"], record["pairs"], record["questions"]) == ("sentiment", 40, 40)
    assert load_config(finished / "config.yaml") == config_of(sentiment)
    edited, paired = metrics(finished, "ood_edited"), metrics(finished, "ood_paired")
    assert edited["scoring"] == "exact"
    assert edited["overall"] > 80  # chance is 50, and what misleads says the opposite
    assert set(edited["per_answer_type"]) == {"Negative", "Positive"}
    assert paired["pair_accuracy"]["edits"]["pairs"] == 40
    epochs = rows(finished / "epochs.csv")
    assert float(epochs[-1]["gs_cosine"]) > float(epochs[0]["gs_cosine"])


def test_a_model_of_another_size_takes_no_memory(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["model"]["hidden"] = 1_000_000_000  # 4 GB for each row of weights
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(DataError, match=r"model\.safetensors: holds another model: .*1000000000"):
        load(run)


def test_predict_gives_the_labels_of_the_run(finished, sentiment, tmp_path, capsys):
    file, out = sentiment["data"]["tests"]["ood_edited"], tmp_path / "p.json"
    words = ["predict", "--run", str(finished), "--out", str(out)]
    assert main([*words, "--texts", file, "--scores"]) == 0
    found = json.loads(out.read_text())
    expected = json.loads((finished / "predictions" / "ood_edited.json").read_text())
    assert [(row["question_id"], row["answer"]) for row in found] == [tuple(row.values()) for row in expected]
    model = load(finished)
    with open(file, encoding="utf-8") as content:
        texts = [row["Text"] for row in csv.DictReader(content, delimiter="\t")]
    for row in (0, 7):
        scores = model.answer(texts[row])
        assert next(iter(scores)) == found[row]["answer"]
        assert scores[found[row]["answer"]] == pytest.approx(found[row]["score"], abs=1e-6)
    # Labels are not needed.
    (tmp_path / "bare.tsv").write_text("Text\n" + "\n".join(texts) + "\n")
    assert main([*words, "--texts", str(tmp_path / "bare.tsv")]) == 0
    assert [row["answer"] for row in json.loads(out.read_text())] == [row["answer"] for row in found]
    capsys.readouterr()
    assert main([*words, "--questions", "q.json"]) == 2
    assert "learnt the task sentiment, which needs --texts" in capsys.readouterr().err


def test_reports_have_intervals_and_examples_of_texts(finished, tmp_path):
    (run,) = find_runs([finished.parent])
    assert run == finished
    files = write_report([load_run(run)], tmp_path / "r.html", markdown=True)
    page, twin = (file.read_text(encoding="utf-8") for file in files)
    assert "JSON" not in twin
    assert "No examples" not in twin
    overall = metrics(finished, "ood_edited")["overall"]
    assert re.search(rf"\| 1 \| {overall:.2f} \([0-9.]+ to [0-9.]+\) \|", twin)
    assert "film" in page


def test_resumed_run_ends_with_the_same_bytes(finished, sentiment, tmp_path, monkeypatch):
    run = train_with_a_break(config_of(sentiment), tmp_path / "run", monkeypatch)
    assert (run / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    assert rows(run / "log.csv") == rows(finished / "log.csv")


@pytest.mark.parametrize("architecture", TEXT_MODELS.names())
@pytest.mark.parametrize("place", ["words", "encoded", "pooled"])
@pytest.mark.parametrize("task", ["sentiment", "nli"])
def test_every_place_and_model_trains(sentiment, inference, tmp_path, task, place, architecture):
    given = {"sentiment": sentiment, "nli": inference}[task]
    settings = {"objectives__gradient_supervision__place": place, "architecture": architecture}
    run = train(config_of(given, training__max_steps=2, **settings), tmp_path / "run", quiet=True)
    assert float(rows(run / "epochs.csv")[0]["gs_loss"]) > 0


def test_fixed_word_vectors_stay(sentiment, tmp_path):
    task = task_of(sentiment, model__words="fixed")
    before = task.build_model().embedding.weight
    run = train(config_of(sentiment, model__words="fixed", training__epochs=1), tmp_path / "run", quiet=True)
    assert torch.equal(load_file(run / "model.safetensors")["embedding.weight"], before)


@pytest.mark.parametrize("architecture", TEXT_MODELS.names())
@pytest.mark.parametrize("place", ["words", "encoded", "pooled"])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_parameter_gradient_against_finite_differences(inference, place, architecture, pooling):
    task = task_of(inference, architecture=architecture, model__pooling=pooling, model__hidden=4)
    model = task.build_model().double()
    settings = {"gradient_supervision": GradientSupervisionSettings(weight=1.0, place=place)}
    step = TrainingStep(model, settings, type(task))
    batch = task.batcher(Plan(15, 60, 3, 2, 0), step.requirements)(0)
    batch.targets, batch.weight = batch.targets.double(), batch.weight.double()
    # The direction is a constant to the loss, but moves with the encoder's parameters: only those behind are tried.
    behind = ["pooling.align.0.weight", "pooling.compare.0.weight"] * (place != "pooled")
    parameters = {name: model.get_parameter(name) for name in ("classifier.1.weight", *behind)}
    assert_gradients_are_numeric(step, batch, parameters)


def test_directions_are_differences_of_aligned_words(sentiment):
    task = task_of(sentiment)
    model = task.build_model()
    batch = task.batcher(Plan(40, 40, 4, 3, 0), BY_WORDS)(0)
    ends = task.forward(model, batch, BY_WORDS).ends
    vectors = model.embedding.weight
    (tokens,) = batch.ends
    for end in range(3):
        own, other = (tokens[row][tokens[row] > 0].tolist() for row in (end, end + 3))
        # End b has "a" in front, one word replaced.
        assert other[0] == task.data.words.index["a"]
        direction = ends.directions["words"][end][tokens[end] > 0]
        for at, (x, y) in enumerate(zip(own, other[1:], strict=True)):
            torch.testing.assert_close(direction[at], vectors[x] - vectors[y])
        there = ends.directions["words"][end + 3][tokens[end + 3] > 0]
        torch.testing.assert_close(there[0], vectors[other[0]])  # inserted: its counterpart is zero


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (
            {"gradient_supervision": {"weight": 1.0}},
            "by regions, .*here gradients can be taken by encoded, pooled, words",
        ),
        ({"negative_image": {"weight": 1.0}}, "negative_image needs another forward pass"),
        ({"gradient_supervision": {"weight": 1.0, "cost": "closed_form"}}, "needs the gradient by attended"),
    ],
)
def test_objectives_of_images_are_refused(sentiment, tmp_path, objectives, message):
    with pytest.raises(UsageError, match=message):
        train(config_of(sentiment, objectives=objectives), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_command_line_takes_the_tasks_own_settings(sentiment, tmp_path, capsys):
    extra = sentiment["data"]["tests"]["ood_edited"]
    words = short_training(sentiment, tmp_path, "run")
    assert main([*words, "--model.pooling", "mean", "--extra-test", f"yelp={extra}"]) == 0
    assert metrics(tmp_path / "run", "yelp")["questions"] == 40
    assert load_config(tmp_path / "run" / "config.yaml").model.pooling == "mean"
    assert main([*words, "--extra-test", extra]) == 2
    assert "--extra-test wants name=file" in capsys.readouterr().err
    assert main([*words, "--extra-test", f"ood_edited={extra}"]) == 2
    assert "data.tests has a split 'ood_edited' already" in capsys.readouterr().err
    assert main([*words, "--task", "poetry"]) == 2
    assert "there is no task called 'poetry'" in capsys.readouterr().err
    assert (
        main(["predict", "--run", str(tmp_path / "run"), *["--questions", "q", "--features", "f", "--out", "o"]]) == 2
    )
    assert "learnt the task sentiment" in capsys.readouterr().err


def test_words_left_out_by_dropout_do_not_look_like_edits(sentiment):
    task = task_of(sentiment, model__dropout_words=0.5)
    model = task.build_model().train()
    batch = task.batcher(Plan(40, 40, 4, 3, 0), BY_WORDS)(0)
    ends = task.forward(model, batch, BY_WORDS).ends
    moved = ends.directions["words"].norm(dim=2) > 0
    assert moved.sum(1).tolist() == [1, 1, 1, 2, 2, 2]  # a word replaced; at the ends b another one inserted


def test_states_of_a_convolution_do_not_depend_on_padding():
    torch.manual_seed(0)
    model = TEXT_MODELS["convolved"](20, 2, 1, TEXT_MODELS["convolved"].Settings(word_dim=4, states=3))
    with torch.no_grad():
        model.embedding.weight[0] = 5.0  # what padding holds must not be seen by its neighbours
    narrow = torch.tensor([[3, 4, 5]])
    wide = torch.tensor([[0, 0, 3, 4, 5]])
    states = [model.encode(model.embed(tokens), tokens != 0) for tokens in (narrow, wide)]
    torch.testing.assert_close(states[1][:, 2:], states[0])
    vectors = model.embedding.weight[[3, 4, 5]]
    by_hand = torch.tanh(model.convolution(vectors.flatten()))  # the middle word sees all three, in their order
    torch.testing.assert_close(states[0][0, 1], by_hand)


@pytest.mark.parametrize("mix", ["reweight", "product", "learned"])
def test_the_prior_of_labels_as_an_expert(sentiment, tmp_path, mix):
    """In its form of one choice; the learned mixin looks at the pooled vector."""
    expert = {"weight": 1.0, "mix": mix, "output": "softmax"}
    run = train(config_of(sentiment, objectives__expert=expert, training__max_steps=2), tmp_path / "run", quiet=True)
    tensors = load_file(run / "objectives.safetensors")
    assert tensors["expert.prior"].sum().item() == pytest.approx(1)
    assert ("expert.gate.weight" in tensors) == (mix == "learned")
