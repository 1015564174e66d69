"""The controls and the terms beyond the paper, against hand-worked numbers and finite differences."""

import math

import pytest
import torch

from tests.vqa_gs.objectives.outputs import make_ends, make_outputs
from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import ModelOutput
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.objectives.terms.masked_image import MaskedImageSettings
from vqa_gs.objectives.terms.negative_image import NegativeImageSettings, answer_scores
from vqa_gs.objectives.terms.path import PathSettings, _mixed
from vqa_gs.objectives.terms.zero_out import ZeroOutSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep

EVERY = {
    "gradient_supervision": GradientSupervisionSettings(weight=1.0),
    "gradient_supervision-question": GradientSupervisionSettings(weight=1.0, place="question"),
    "gradient_supervision-free": GradientSupervisionSettings(weight=1.0, sparse=1, rest="free"),
    "path": PathSettings(weight=1.0, points=2),
    "negative_image": NegativeImageSettings(weight=1.0),
    "negative_image-ssl": NegativeImageSettings(weight=3.0, kind="ssl"),
    "masked_image": MaskedImageSettings(weight=1.0, most=2, cosine=0.5),
    "masked_image-random": MaskedImageSettings(weight=1.0, mask="random", most=2, cosine=1.0),
    "masked_image-complement": MaskedImageSettings(weight=1.0, mask="complement", most=2, ignored=1, cosine=1.0),
    "zero_out": ZeroOutSettings(weight=1.0),
}


def differs_as_told(step, batch, parameter):
    """Compares the gradient of the loss by a parameter with finite differences, where it is steepest."""
    (exact,) = torch.autograd.grad(step(batch)[0], parameter, allow_unused=True)
    assert exact is not None
    flat, change = parameter.data.view(-1), 1e-6
    steepest = exact.abs().view(-1).argsort(descending=True)
    assert exact.view(-1)[steepest[0]] != 0
    for at in steepest[:3].tolist() + steepest[10:12].tolist():
        before, values = flat[at].item(), []
        for moved in (before + change, before - change):
            flat[at] = moved
            values.append(step(batch)[0].item())
        flat[at] = before
        numeric = (values[0] - values[1]) / (2 * change)
        assert exact.view(-1)[at].item() == pytest.approx(numeric, rel=2e-5, abs=2e-8)


@pytest.mark.parametrize("name", EVERY)
def test_parameter_gradients_against_finite_differences(make_model, make_batch, make_step, name):
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, **{name.split("-")[0]: EVERY[name]})
    parameters = dict(model.named_parameters())
    for parameter_name in ("attention_question.linear.direction", "classifier.2.direction", "gru.weight_hh_l0"):
        differs_as_told(step, batch, parameters[parameter_name])


def test_schedule_rises_holds_and_falls():
    plan = Scheduled(weight=1.0, start_epoch=2, warmup_epochs=4, decay_start=10, decay_epochs=5)
    found = [plan.scale(epoch) for epoch in (0, 1.99, 2, 4, 6, 9, 10, 12.5, 15, 30)]
    assert found == [0, 0, 0, 0.5, 1, 1, 1, 0.5, 0, 0]
    assert Scheduled(weight=1.0).scale(0.0) == 1.0
    assert Scheduled(weight=1.0, start_epoch=1).scale(1.0) == 1.0
    with pytest.raises(UsageError, match="decay_epochs must be a number that is not negative, got -1"):
        Scheduled(decay_epochs=-1)


@pytest.mark.parametrize("name", EVERY)
def test_before_its_start_a_term_costs_and_says_nothing(make_model, make_batch, run_step, name):
    import dataclasses

    model, batch = make_model(), make_batch("matched")
    plain = run_step(model, batch)
    later = {name.split("-")[0]: dataclasses.replace(EVERY[name], start_epoch=5.0)}
    loss, gradients, means = run_step(model, batch, **later)
    torch.testing.assert_close(loss, plain[0])
    assert means == plain[2]
    batch.epoch = 5.0
    started, _, means = run_step(model, batch, **later)
    assert float(started) != pytest.approx(float(loss))
    assert set(means) == {"answer_loss", *OBJECTIVES[name.split("-")[0]].logged}


def test_zero_out_is_the_answer_loss_of_no_answers_on_ordinary_rows(make_model, make_batch, run_step):
    model, batch = make_model(), make_batch("matched")
    loss, _, means = run_step(model, batch, answer=False, zero_out=ZeroOutSettings(weight=2.0))
    torch.manual_seed(batch.seed)
    step = TrainingStep(model, {"zero_out": ZeroOutSettings(weight=1.0)}, TASKS["vqa"])
    seen = []
    step.terms["zero_out"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].logits.detach()))
    step(batch)
    by_hand = torch.log1p(torch.exp(seen[0][6:])).sum() / 4
    assert float(loss) == pytest.approx(2 * float(by_hand))
    assert means["zero_out_loss"] == pytest.approx(float(by_hand))


def test_random_image_asks_each_question_of_another_image():
    rows, answers = 5, 3
    regions = torch.arange(rows, dtype=torch.float64).view(rows, 1, 1)
    seen = []

    def again(chosen, images, mask):
        asked = torch.arange(rows)[chosen].tolist()
        seen.append((images.flatten().tolist(), mask.flatten().tolist(), asked))
        return ModelOutput(torch.zeros(len(images), answers, dtype=torch.float64))

    targets = torch.tensor([[1.0, 0.3, 0], [0, 0, 0], [0, 1, 0], [0.6, 0, 0], [0, 0, 1]], dtype=torch.float64)
    mask = torch.arange(rows).unsqueeze(1) % 2 == 0
    ends = make_ends(torch.zeros(2, 3), targets[:2], [0, 1])
    for pairs, first in ((None, 0), (ends, 2)):
        more = {"regions": regions, "mask": mask, "again": again}
        outputs = make_outputs(torch.zeros(rows, answers), targets, pairs, **more)
        for seed in range(6):
            torch.manual_seed(seed)
            out = OBJECTIVES["negative_image"](NegativeImageSettings(weight=1.0))(outputs)
            images, masks, own = seen.pop()
            assert own == list(range(first, rows))
            assert all(image != row for image, row in zip(images, own, strict=True))
            assert sorted(images) == own
            assert masks == [image % 2 == 0 for image in images]
            assert out.loss.item() == pytest.approx(0.5 * targets[first:].sum().item() / (rows - first))
    assert answer_scores(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.5]])).item() == pytest.approx(0.875)


def test_a_lone_question_has_no_other_image():
    outputs = make_outputs(torch.zeros(1, 2), torch.ones(1, 2))
    assert OBJECTIVES["negative_image"](NegativeImageSettings(weight=1.0))(outputs).loss.item() == 0


def test_the_decision_changes_by_the_integral_of_its_slope_along_the_segment(make_model, make_batch):
    """The identity that the path term stands on, by a fine sum over the segment."""
    model, batch = make_model().eval(), make_batch("identity")
    regions, question = batch.features, model.encode_tokens(batch.tokens)[:1]
    a, b, mask = regions[:1], regions[3:4], batch.mask[:1]

    def score(x):
        logits = model.answer(x, mask.expand(len(x), -1), question.expand(len(x), -1)).logits
        return logits[:, 0] - logits[:, 1]

    points = 20_000
    t = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    x = (b + t.view(-1, 1, 1) * (a - b)).requires_grad_()
    (gradient,) = torch.autograd.grad(score(x).sum(), x)
    integral = (gradient * (a - b)).sum() / points
    change = (score(a) - score(b)).detach()
    # The sum errs by up to a step where a ReLU bends.
    assert float(integral) == pytest.approx(float(change), rel=1e-4)


def test_path_looks_between_the_ends(make_model, make_batch, run_step):
    batch = make_batch("identity")
    # Without dropout a step of many points tells the mean over the segment, whatever is drawn.
    model = make_model(dropout_attention=0.0, dropout_classifier=0.0)
    means = []
    for seed in (1, 2):
        batch.seed = seed
        means.append(run_step(model, batch, answer=False, path=PathSettings(weight=1.0, points=200))[2]["path_cosine"])
    assert means[0] == pytest.approx(means[1], abs=0.01)
    # One with a decision that is linear in the regions sees the same everywhere: then it is gradient supervision.
    linear = torch.nn.Linear(5 * 12, 7).double()

    def answer(regions, mask, question, trace=False):
        logits = linear(regions.flatten(1))
        return ModelOutput(logits)

    model.answer = answer
    step = TrainingStep(model, {"path": PathSettings(weight=1.0)}, TASKS["vqa"])
    both = TrainingStep(model, {"gradient_supervision": GradientSupervisionSettings(weight=1.0)}, TASKS["vqa"])
    torch.testing.assert_close(step(batch)[0], both(batch)[0], rtol=1e-12, atol=0)
    with pytest.raises(UsageError, match="points must be at least 1"):
        PathSettings(points=0)


def test_path_beside_the_segment():
    torch.manual_seed(0)
    regions, direction = torch.randn(4, 5, 3), torch.zeros(4, 5, 3)
    direction[:, 2], direction[:, 4] = 2.0, 1.0
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[0, 3:] = False
    mixed, left = _mixed(regions, mask, direction, 1.0)
    swapped = (mixed != regions).any(2)
    assert not swapped[:, 2].any()  # what the pair is about
    assert not swapped[0, 3:].any()  # padding
    assert swapped.any()
    assert not left[swapped].any()
    torch.testing.assert_close(left[~swapped], direction[~swapped])
    for row, at in swapped.nonzero().tolist():
        assert (mixed[row, at] == regions[:, at]).all(1).any()
    torch.testing.assert_close(_mixed(regions, mask, direction, 0.0)[0], regions)
    with pytest.raises(UsageError, match="mix 1.5"):
        PathSettings(mix=1.5)


def test_noise_moves_the_points(make_model, make_batch, run_step):
    batch, model = make_batch("identity"), make_model(dropout_attention=0.0, dropout_classifier=0.0)
    settings = [PathSettings(weight=1.0, noise=noise, mix=mix) for noise, mix in ((0, 0), (1e-7, 0), (1, 0), (0, 1))]
    plain, close, far, mixed = (run_step(model, batch, answer=False, path=s)[2]["path_cosine"] for s in settings)
    assert close == pytest.approx(plain, abs=1e-4)
    assert abs(far - plain) > 1e-3
    assert abs(mixed - plain) > 1e-3


def test_b_weight_and_ends(make_model, make_batch, run_step):
    model, batch = make_model(), make_batch("matched")
    part = {
        name: float(
            run_step(
                model, batch, answer=False, gradient_supervision=GradientSupervisionSettings(weight=1.0, **settings)
            )[0]
        )
        for name, settings in {
            "a": {"ends": "a"},
            "b": {"ends": "b", "b_weight": 3.0},
            "mix": {"b_weight": 3.0},
        }.items()
    }
    assert part["mix"] == pytest.approx((part["a"] + 3 * part["b"]) / 4)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="no regions or words to choose from"):
        GradientSupervisionSettings(place="attended", sparse=1)
    with pytest.raises(UsageError, match="sparse must not be negative"):
        GradientSupervisionSettings(sparse=-1)
