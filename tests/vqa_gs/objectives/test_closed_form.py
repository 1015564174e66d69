"""The closed form against double backward and against finite differences."""

import pytest
import torch

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep

KINDS = ["identity", "matched", "masked", "sparse"]


def both(run_step, model, batch, **settings):
    return [
        run_step(model, batch, gradient_supervision=GradientSupervisionSettings(weight=2.0, cost=cost, **settings))
        for cost in ("double_backward", "closed_form")
    ]


def difference(one, other, matrices_only=False):
    """The length of the difference of two gradients over the gradient's length: of the worst parameter."""
    assert one.keys() == other.keys()
    # A constant added to all scores changes no softmax: the score's bias has gradient zero, and rounding for numbers.
    names = [name for name in one if name != "attention_score.bias" and (one[name].ndim or not matrices_only)]
    return max(float((one[name] - other[name]).norm() / one[name].norm().clamp_min(1e-30)) for name in names)


def overall_difference(one, other):
    """The same of all parameters as one vector."""
    pairs = [(one[name].double().view(-1), other[name].double().view(-1)) for name in one]
    return float(torch.cat([a - b for a, b in pairs]).norm() / torch.cat([a for a, _ in pairs]).norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"variant": "true"},
        {"variant": "loss", "ends": "a"},
        {"sparse": 2},
        {"sparse": 1, "rest": "free", "b_weight": 0.3},
    ],
    ids=["contrast", "true", "loss-a", "sparse", "free"],
)
def test_equals_double_backward_in_float64(make_model, make_batch, run_step, kind, settings):
    (loss, gradients, means), (closed, closed_gradients, closed_means) = both(
        run_step, make_model(), make_batch(kind), **settings
    )
    assert 0 < means["gs_loss"] < 2
    torch.testing.assert_close(closed, loss, rtol=1e-12, atol=0)
    assert difference(gradients, closed_gradients) < 1e-12
    assert closed_means == pytest.approx(means, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_double_backward_in_float32(make_model, make_batch, run_step, kind):
    exact = both(run_step, make_model(), make_batch(kind))[0]
    (loss, gradients, _), (closed, closed_gradients, _) = both(
        run_step, make_model(torch.float32), make_batch(kind, torch.float32)
    )
    torch.testing.assert_close(closed, loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(closed.double(), exact[0], rtol=1e-6, atol=0)
    assert overall_difference(gradients, closed_gradients) < 1e-6
    # The scales of weight normalisation are sums that nearly cancel: double backward itself is 3e-5 off in float32.
    assert difference(gradients, closed_gradients, matrices_only=True) < 2e-6
    assert overall_difference(exact[1], closed_gradients) < 1e-6


def test_equals_double_backward_at_the_size_of_updn(run_step, make_batch):
    from vqa_gs.models.vqa import MODELS
    from vqa_gs.models.vqa.updn import UpDnSettings

    torch.manual_seed(0)
    model = MODELS["updn"](256, 20, 7, UpDnSettings(hidden=128, word_dim=8))
    batch = make_batch("identity", torch.float32)
    batch.features = torch.relu(torch.randn(len(batch.tokens), 5, 256))
    batch.features[3:6, 1:] = batch.features[:3, 1:]
    (loss, gradients, _), (closed, closed_gradients, _) = both(run_step, model, batch)
    torch.testing.assert_close(closed, loss, rtol=1e-6, atol=0)
    assert overall_difference(gradients, closed_gradients) < 1e-6
    assert difference(gradients, closed_gradients, matrices_only=True) < 2e-6


@pytest.mark.parametrize("kind", ["matched", "masked"])
def test_parameter_gradient_against_finite_differences(make_model, make_batch, kind):
    model, batch = make_model(), make_batch(kind)
    step = TrainingStep(
        model,
        {"gradient_supervision": GradientSupervisionSettings(weight=1.0, cost="closed_form", variant="true")},
        TASKS["vqa"],
    )
    for name in ("attention_regions.linear.direction", "attention_question.linear.bias", "region_net.linear.scale"):
        parameter = model.get_parameter(name)
        (exact,) = torch.autograd.grad(step(batch)[0], parameter)
        flat, change = parameter.data.view(-1), 1e-6
        for at in torch.randperm(len(flat), generator=torch.Generator().manual_seed(3))[:6].tolist():
            before = flat[at].item()
            flat[at] = before + change
            up = step(batch)[0].item()
            flat[at] = before - change
            down = step(batch)[0].item()
            flat[at] = before
            assert exact.view(-1)[at].item() == pytest.approx((up - down) / (2 * change), rel=1e-5, abs=1e-8)


def test_dropout_of_the_attention_enters_exactly(make_model, make_batch, run_step):
    batch = make_batch("matched")
    with_dropout = both(run_step, make_model(dropout_attention=0.5), batch)
    without = both(run_step, make_model(dropout_attention=0.0), batch)
    assert float((with_dropout[1][0] - without[1][0]).abs()) > 1e-4
    torch.testing.assert_close(with_dropout[1][0], with_dropout[0][0], rtol=1e-12, atol=0)


def test_an_unchanged_image_and_a_dead_gradient_teach_nothing(make_model, make_batch, run_step):
    model, batch = make_model(), make_batch("identity")
    batch.features[3:6] = batch.features[:3]
    for _, gradients, means in both(run_step, model, batch):
        assert "gs_loss" not in means
        assert all(torch.isfinite(part).all() for part in gradients.values())
    batch = make_batch("identity")
    with torch.no_grad():
        model.region_net.linear.bias.fill_(-1e3)  # all units off: no gradient by the attended vector
    (loss, gradients, _), (closed, closed_gradients, _) = both(run_step, model, batch)
    assert all(torch.isfinite(part).all() for part in closed_gradients.values())
    torch.testing.assert_close(closed, loss, rtol=1e-12, atol=0)
    assert difference(gradients, closed_gradients) < 1e-12


def test_in_bf16_both_costs_agree_to_its_digits(make_model, make_batch, run_step):
    model, batch = make_model(torch.float32), make_batch("matched", torch.float32)
    exact = both(run_step, model, batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        results = both(run_step, model, batch)
    for loss, gradients, _ in results:
        assert float(loss) == pytest.approx(float(exact[0]), rel=0.02)
        name = "attention_regions.linear.direction"
        assert torch.nn.functional.cosine_similarity(gradients[name].view(-1), exact[1][name].view(-1), dim=0) > 0.97


def test_places_without_a_closed_form_are_refused():
    with pytest.raises(UsageError, match="no closed form at the place attended"):
        GradientSupervisionSettings(weight=1.0, cost="closed_form", place="attended")
