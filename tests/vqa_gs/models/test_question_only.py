"""The model that never looks."""

import h5py
import numpy as np
import pytest
import torch

from tests.run_settings import config_of
from tests.vqa_gs.models.commands import assert_trains_by_command, help_of, without_model
from tests.vqa_gs.objectives.conftest import ANSWERS, DIM, WORDS
from tests.vqa_gs.tasks.runs import assert_gradients_are_numeric
from vqa_gs.cli import main
from vqa_gs.common.errors import UsageError
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.question_only import QuestionOnlySettings
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep

SMALL = {"hidden": 8, "word_dim": 6}


def make(**settings):
    torch.manual_seed(0)
    return MODELS["question_only"](DIM, WORDS, ANSWERS, QuestionOnlySettings(**{**SMALL, **settings})).double()


def question(length=5):
    return torch.randint(2, WORDS, (2, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("activation", ["relu", "gated_tanh"])
def test_the_image_changes_nothing(activation):
    model = make(activation=activation).eval()
    encoded = model.encode_tokens(question())
    found = []
    for regions in (0, 1, 5, 100):
        image = torch.randn(2, regions, DIM, dtype=torch.float64)
        found.append(model.answer(image, torch.rand(2, regions) > 0.5, encoded))
    for other in found[1:]:
        assert torch.equal(other.logits, found[0].logits)
    assert found[0].attention is None
    assert {name: getattr(found[0], name).shape[1] for name in model.sizes()} == model.sizes()
    assert not torch.equal(found[0].logits[0], found[0].logits[1])
    answers = torch.tensor([3, 1])
    torch.testing.assert_close(found[0].pick(answers), found[0].logits.gather(1, answers[:, None]).squeeze(1))


def test_padding_in_front_changes_nothing_and_no_word_is_finite():
    model = make().eval()
    tokens = question()
    image, mask = torch.zeros(2, 1, DIM, dtype=torch.float64), torch.ones(2, 1, dtype=torch.bool)
    tokens[1] = 0
    expected = model.answer(image, mask, model.encode_tokens(tokens)).logits
    words = model.embed_words(tokens)
    plain = model.answer(image, mask, model.encode(words, tokens != 0, True)).logits
    torch.testing.assert_close(plain, expected)
    assert torch.isfinite(expected).all()


def test_twice_differentiable_by_words_with_dropout():
    model = make(activation="gated_tanh", hidden=4).train()
    tokens = question(4)
    words = model.embed_words(tokens).detach().requires_grad_()
    image, mask = torch.zeros(2, 1, DIM, dtype=torch.float64), torch.ones(2, 1, dtype=torch.bool)

    def logits(vectors):
        torch.manual_seed(5)
        return model.answer(image, mask, model.encode(vectors, tokens != 0, True)).logits[:, :2]

    assert torch.autograd.gradcheck(logits, (words,))
    assert torch.autograd.gradgradcheck(logits, (words,))


def test_parameter_gradients_of_gradient_supervision_are_numeric(make_batch):
    model = make().train()
    terms = {
        "answer": AnswerSettings(),
        "gradient_supervision": GradientSupervisionSettings(weight=2.0, place="question"),
    }
    step = TrainingStep(model, terms, TASKS["vqa"])
    batch = make_batch()
    _, _, counts = step(batch)
    assert counts["gs_cosine"] > 0
    names = ("gru.weight_hh_l0", "question_net.linear.direction", "classifier.0.linear.scale", "classifier.2.direction")
    own = dict(model.named_parameters())
    assert_gradients_are_numeric(step, batch, {name: own[name] for name in names})


def test_what_needs_the_image_is_refused(tiny):
    given = {**without_model(tiny), "architecture": "question_only", "model": SMALL}
    config_of(given, objectives__gradient_supervision={"weight": 1.0, "place": "question"}).check()
    for term, needed in (
        ({"gradient_supervision": {"weight": 1.0}}, "the gradient by regions"),
        ({"negative_image": {"weight": 1.0}}, "another forward pass"),
    ):
        with pytest.raises(UsageError, match=needed):
            config_of(given, objectives=term).check()


def test_help_names_its_settings(capsys):
    told = help_of("question_only", capsys)
    assert "--model.dropout_classifier" in told
    assert "--model.dropout_attention" not in told


def test_it_trains_predicts_and_resumes_by_command(tiny, tmp_path, monkeypatch):
    assert_trains_by_command(tiny, "question_only", {**SMALL, "rare_answers": False}, tmp_path, monkeypatch)
    with h5py.File(tmp_path / "grounding.h5") as file:
        assert len(file["regions/gradient"]) > 20
        assert not np.any(file["regions/gradient"])
        assert not np.any(file["regions/attention"])
    files, made = tiny["data"]["train"], tmp_path / "pairs-grounding.h5"
    words = ["predict", "--run", str(tmp_path / "whole"), "--features", tiny["data"]["features"]]
    words += ["--questions", files["questions"], "--annotations", files["annotations"], "--grounding", str(made)]
    assert main([*words, "--pairs", tiny["data"]["pairs"][0], "--out", str(tmp_path / "train.json")]) == 0
    with h5py.File(made) as file:
        assert len(file["pairs/cosine"]) > 10
        assert np.isnan(file["pairs/cosine"]).all()
