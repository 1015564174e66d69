"""An expert that is another run: what it says of each training example stands in the place of the prior."""

import copy
import json

import pytest
import torch
from vqa_gs.features.store import RegionStore

from tests.run_settings import config_of as settings_of
from tests.vqa_gs.training.test_loop import config_of
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import sha256_file
from vqa_gs.contracts import TrainingStatistics
from vqa_gs.data.questions import read_question_set
from vqa_gs.objectives.terms.expert import Expert, ExpertSettings, bias_logits
from vqa_gs.pipeline.text_data import shown
from vqa_gs.pipeline.trained import columns_of
from vqa_gs.training.loop import _Run, train
from vqa_gs.training.opened import load

NO_PAIRS = {"data__pairs": [], "objectives__gradient_supervision__weight": 0}


@pytest.fixture(scope="module")
def question_only(tiny, tmp_path_factory):
    sizes = {"hidden": 16, "word_dim": 8, "dropout_classifier": 0.0}
    config = config_of({**tiny, "architecture": "question_only", "model": sizes}, training__epochs=2, **NO_PAIRS)
    return train(config, tmp_path_factory.mktemp("runs") / "question-only", quiet=True)


def test_answers_are_matched_by_name():
    logits = torch.tensor([[1.0, -2.0, 3.0], [0.0, 4.0, -5.0]])
    found = columns_of(logits, ["a", "b", "c"], ["c", "d", "a"])
    assert found.dtype == torch.float16
    assert found.tolist() == [[3.0, -2.0, 1.0], [-5.0, -5.0, 0.0]]
    with pytest.raises(UsageError, match="knows none of the answers"):
        columns_of(logits, ["a", "b", "c"], ["d"])


def test_the_expert_is_what_the_run_says_of_each_example(make_outputs_like):
    said = torch.randn(5, 3).half()
    asked = []

    def said_by(run):
        asked.append(run)
        return said

    statistics = TrainingStatistics(["a", "b", "c"], said_by=said_by)
    for output in ("sigmoid", "softmax"):
        settings = ExpertSettings(1.0, bias_run="runs/other", mix="product", output=output)
        term = Expert(settings, statistics)
        assert asked.pop() == "runs/other"
        assert not any(name.startswith("said") for name in term.state_dict())
        outputs = make_outputs_like(torch.tensor([4, 0]))
        rows = said[[4, 0]].float()
        prior = rows.sigmoid() if output == "sigmoid" else rows.softmax(1)
        added = bias_logits(output, prior, torch.sigmoid(torch.tensor(-1.0)))
        logits = outputs.logits + added
        if output == "sigmoid":
            expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, outputs.targets, reduction="none")
        else:
            expected = -outputs.targets * logits.log_softmax(1)
        torch.testing.assert_close(term(outputs).loss, expected.sum() / 2)


@pytest.fixture
def make_outputs_like():
    from tests.vqa_gs.objectives.outputs import make_outputs

    def make(examples):
        torch.manual_seed(0)
        outputs = make_outputs(torch.randn(2, 3), torch.rand(2, 3))
        outputs.batch.examples = examples
        return outputs

    return make


def test_a_run_beside_a_question_only_model(tiny, tmp_path, question_only, monkeypatch):
    expert = {"weight": 1.0, "mix": "learned", "bias_run": str(question_only)}
    seen = []
    asked = _Run._said_by
    monkeypatch.setattr(_Run, "_said_by", lambda self, run: seen.append(asked(self, run)) or seen[-1])
    run = train(config_of(tiny, objectives__expert=expert, training__max_steps=3), tmp_path / "run", quiet=True)
    sources = json.loads((run / "run.json").read_text())["sources"]
    assert sources[f"{question_only}/model.safetensors"] == sha256_file(question_only / "model.safetensors")
    # Ordinary questions first, and what the run says of them is what it says of them when it is asked.
    (said,) = seen
    questions = read_question_set(tiny["data"]["train"]["questions"])
    model, store = load(question_only), RegionStore(tiny["data"]["features"])
    answers = json.loads((run / "answers.json").read_text())["answers"]
    expected = model.logits(questions, store, answers)
    assert torch.equal(said[: len(questions)], expected)
    assert len(said.unique(dim=0)) == len({question.question for question in questions.questions})


def test_a_run_of_another_task_is_refused(tiny, sentiment_run, tmp_path):
    expert = {"weight": 1.0, "bias_run": str(sentiment_run)}
    with pytest.raises(UsageError, match="learnt the task sentiment, this run is to learn vqa"):
        train(config_of(tiny, objectives__expert=expert), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def inference_settings(tmp_path_factory):
    """Premises say nothing of the label, hypotheses all of it."""
    folder = tmp_path_factory.mktemp("inference")
    rows = [("A dog runs.", f"The dog {word}.", label) for word, label in
            (("moves", "entailment"), ("sleeps", "contradiction"), ("plays", "neutral"))] * 8  # fmt: skip
    for name in ("train", "dev"):
        lines = ["\t".join(("sentence1", "sentence2", "gold_label"))]
        lines += ["\t".join((f"{name} {row} {one}", two, label)) for row, (one, two, label) in enumerate(rows)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return {
        "task": "nli",
        "data": {"train": str(folder / "train.tsv"), "iid_val": [str(folder / "dev.tsv")]},
        "model": {"hidden": 8, "word_dim": 8},
        "training": {"epochs": 4, "batch_size": 8, "lr": 0.05, "clip": 5.0, "patience": 0, "device": "cpu"},
    }


@pytest.fixture(scope="module")
def sentiment_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentiment")
    for name in ("train", "dev"):
        rows = [f"{label}\t{name} {row} {word}" for row in range(6)
                for label, word in (("Positive", "good"), ("Negative", "bad"))]  # fmt: skip
        (folder / f"{name}.tsv").write_text("\n".join(["Sentiment\tText", *rows]) + "\n")
    settings = {
        "task": "sentiment",
        "data": {"train": str(folder / "train.tsv"), "iid_val": [str(folder / "dev.tsv")]},
        "model": {"hidden": 4, "word_dim": 4},
        "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
    }
    return train(settings_of(settings), folder / "run", quiet=True)


def test_a_hypothesis_alone_and_an_expert_of_it(inference_settings, tmp_path):
    hidden = copy.deepcopy(inference_settings)
    hidden["data"]["hidden"] = ["sentence1"]
    alone = train(settings_of(hidden), tmp_path / "alone", quiet=True)
    words = json.loads((alone / "words.json").read_text())
    assert "moves" in str(words)
    assert "runs" not in str(words)  # a word of premises alone
    model = load(alone)
    one, other = model.answer("A cat sits.", "The dog moves."), model.answer("", "The dog moves.")
    assert one == other
    assert max(one, key=one.get) == "entailment"
    expert = {"weight": 1.0, "mix": "product", "output": "softmax", "bias_run": str(alone)}
    beside = settings_of(inference_settings, objectives__expert=expert, training__epochs=1)
    run = train(beside, tmp_path / "beside", quiet=True)
    assert (run / "done").exists()


@pytest.mark.parametrize("hidden", [["sentence3"], ["sentence1", "sentence2"]])
def test_columns_that_cannot_be_hidden(hidden):
    with pytest.raises(UsageError, match=r"data.hidden"):
        shown([("a", "b")], ("sentence1", "sentence2"), hidden)
