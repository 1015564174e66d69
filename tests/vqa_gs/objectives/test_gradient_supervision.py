import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vqa_gs.objectives.outputs import make_ends, make_outputs
from vqa_gs import GradientSupervision
from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import TrainingStatistics
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.terms.gradient_supervision import (
    GradientSupervisionSettings,
    cosine,
    decision,
    gradient_supervision_loss,
)


class Bilinear(torch.nn.Module):
    """logits[c] = q . M_c x: its gradient by x can be worked out by hand."""

    def __init__(self, answers=4, dim=5, question=3):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(answers, question, dim, dtype=torch.float64))

    def forward(self, x, q):
        return torch.einsum("bq,cqd,bd->bc", q, self.weight, x)


def smooth_head(x, weight, hidden):
    return torch.tanh(x @ hidden) @ weight


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("variant", ["true", "contrast", "loss"])
def test_bilinear_model_against_the_gradient_by_hand(variant):
    model = Bilinear()
    q = torch.randn(6, 3, dtype=torch.float64)
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(6, 5, dtype=torch.float64)
    own, other = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 2, 3, 0, 2, 3])
    targets = torch.rand(6, 4, dtype=torch.float64)
    logits = model(x, q)
    score, valid = decision(logits, own, other, targets, variant)
    _, cos, _ = gradient_supervision_loss(score, x, direction)
    per_answer = torch.einsum("bq,cqd->bcd", q, model.weight)
    rows = torch.arange(6)
    by_hand = {
        "true": per_answer[rows, own],
        "contrast": per_answer[rows, own] - per_answer[rows, other],
        "loss": torch.einsum("bc,bcd->bd", targets - torch.sigmoid(logits), per_answer),
    }[variant]
    expected = torch.nn.functional.cosine_similarity(by_hand, direction, dim=1)
    assert valid.all()
    torch.testing.assert_close(cos, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", ["true", "contrast", "loss"])
def test_parameter_gradient_against_finite_differences(variant):
    hidden = torch.randn(5, 7, dtype=torch.float64)
    x = torch.randn(4, 5, dtype=torch.float64)
    direction = torch.randn(4, 5, dtype=torch.float64)
    own, other = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 2])
    targets = torch.rand(4, 3, dtype=torch.float64)

    def loss_of(weight, hidden):
        leaf = x.clone().requires_grad_()
        score, _ = decision(smooth_head(leaf, weight, hidden), own, other, targets, variant)
        return gradient_supervision_loss(score, leaf, direction)[0].sum()

    weight = torch.randn(7, 3, dtype=torch.float64)
    for index, part in enumerate((weight, hidden)):
        leaf = part.clone().requires_grad_()
        (exact,) = torch.autograd.grad(loss_of(*((leaf, hidden) if index == 0 else (weight, leaf))), leaf)
        numeric = torch.zeros_like(part)
        step = 1e-6
        for at in range(part.numel()):
            moved = [part.clone(), part.clone()]
            moved[0].view(-1)[at] += step
            moved[1].view(-1)[at] -= step
            up, down = (loss_of(*((m, hidden) if index == 0 else (weight, m))) for m in moved)
            numeric.view(-1)[at] = ((up - down) / (2 * step)).detach()
        torch.testing.assert_close(exact, numeric, rtol=1e-6, atol=1e-8)


def test_inner_gradient_points_where_the_score_rises():
    weight, hidden = torch.randn(7, 3, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    partner = x.detach() - 1e-4 * torch.autograd.grad(smooth_head(x, weight, hidden)[:, 0].sum(), x)[0]
    _, cos, _ = gradient_supervision_loss(smooth_head(x, weight, hidden)[:, 0], x, x - partner)
    torch.testing.assert_close(cos, torch.ones(2, dtype=torch.float64))
    assert (smooth_head(x, weight, hidden)[:, 0] > smooth_head(partner, weight, hidden)[:, 0]).all()


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_scaling_of_direction_and_gradient_changes_nothing(first, second):
    generator = torch.Generator().manual_seed(1)
    g, d = (torch.randn(3, 4, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    torch.testing.assert_close(cosine(g * first, d * second)[0], cosine(g, d)[0], rtol=1e-10, atol=1e-12)


def test_order_of_regions_changes_nothing():
    g, d = torch.randn(3, 6, 5), torch.randn(3, 6, 5)
    order = torch.randperm(6)
    torch.testing.assert_close(cosine(g[:, order], d[:, order])[0], cosine(g, d)[0])


def test_tiny_gradients_do_not_underflow_and_low_precision_is_widened():
    g, d = torch.randn(2, 8), torch.randn(2, 8)
    torch.testing.assert_close(cosine(g * 1e-25, d * 1e-25)[0], cosine(g, d)[0])
    low = cosine(g.bfloat16(), d.bfloat16())[0]
    assert low.dtype == torch.float32


def test_zero_direction_does_not_count_and_zero_gradient_gives_cosine_zero():
    cos, valid = cosine(torch.zeros(2, 3), torch.tensor([[0.0, 0, 0], [1, 0, 0]]))
    assert cos.tolist() == [0, 0]
    assert valid.tolist() == [False, True]
    x = torch.randn(1, 3, requires_grad=True)
    loss, _, _ = gradient_supervision_loss((x * 0).sum(1), x, torch.zeros(1, 3))
    assert loss.item() == 0


def test_decisions_say_where_they_apply():
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0], [3.0, 1.0], [3.0, 1.0]])
    own, other = torch.tensor([0, 0, -1, 0]), torch.tensor([1, 0, 1, -1])
    score, valid = decision(logits, own, other, variant="contrast")
    assert valid.tolist() == [True, False, False, True]
    assert score[[0, 3]].tolist() == [2.0, 3.0]  # a partner without an answer leaves the own logit
    assert decision(logits, own, variant="true")[1].tolist() == [True, True, False, True]


def test_shapes_and_misuse_are_named():
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(ValueError, match=r"score must be \(2,\)"):
        gradient_supervision_loss(x, x, x.detach())
    with pytest.raises(ValueError, match="one shape"):
        gradient_supervision_loss(x.sum(1), x, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="does not require grad"):
        gradient_supervision_loss(x.sum(1), x.detach(), x.detach())
    with pytest.raises(ValueError, match="does not depend"):
        gradient_supervision_loss(torch.randn(2, requires_grad=True), x, x.detach())
    with pytest.raises(ValueError, match="partner_labels"):
        decision(x, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="no variant"):
        GradientSupervision("other")
    with pytest.raises(UsageError, match="negative"):
        GradientSupervisionSettings(weight=-1)


def make_pairs(pairs=3, ends_weight=None):
    weight = torch.randn(5, 4, requires_grad=True)
    x = torch.randn(2 * pairs, 5, requires_grad=True)
    logits = torch.tanh(x) @ weight
    labels = [0, 1, 2, 1, 2, 3][: 2 * pairs]
    targets = torch.rand(2 * pairs, 4)
    ends = make_ends(logits, targets, labels, {"regions": x}, ends_weight)
    return make_outputs(logits, targets, ends), weight


def test_term_averages_over_ends_and_respects_ends_weights_and_warmup():
    term = OBJECTIVES["gradient_supervision"]
    outputs, weight = make_pairs()
    both, a, b = (term(GradientSupervisionSettings(weight=1.0, ends=ends))(outputs).loss for ends in ("both", "a", "b"))
    assert math.isclose(both.item(), (a.item() + b.item()) / 2, rel_tol=1e-6)
    both.backward()
    assert weight.grad.abs().sum() > 0
    ramp = term(GradientSupervisionSettings(weight=1.0, warmup_epochs=4.0))(make_pairs()[0])
    assert ramp.scale == 0.25
    torch.manual_seed(0)
    halved, _ = make_pairs(ends_weight=torch.full((6,), 0.5))
    torch.manual_seed(0)
    whole, _ = make_pairs()
    settings_one = GradientSupervisionSettings(weight=1.0)
    assert math.isclose(term(settings_one)(halved).loss.item() * 2, term(settings_one)(whole).loss.item(), rel_tol=1e-6)


def test_term_without_pairs_is_zero():
    outputs, _ = make_pairs()
    outputs.ends = None
    assert OBJECTIVES["gradient_supervision"](GradientSupervisionSettings(weight=1.0))(outputs).loss.item() == 0


def test_module_trains_a_users_model():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    x, partner = torch.randn(16, 4), torch.randn(16, 4)
    y, partner_y = torch.zeros(16, dtype=torch.long), torch.ones(16, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        leaf = x.clone().requires_grad_()
        loss = GradientSupervision()(model(leaf), leaf, leaf - partner, y, partner_y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2


def test_docstring_examples():
    import doctest

    import vqa_gs.objectives.terms.gradient_supervision as module

    result = doctest.testmod(module)
    assert result.attempted > 5
    assert result.failed == 0


def _ends_of_types(types):
    """Outputs of two pairs whose questions are of the answer types given by code, a then b."""
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    logits = smooth_head(x, torch.randn(7, 3, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64))
    ends = make_ends(logits, torch.rand(4, 3, dtype=torch.float64), [0, 1, 2, 0], {"regions": x})
    outputs = make_outputs(logits, ends.targets, ends)
    outputs.batch.answer_type = torch.tensor(types)
    return outputs


def _term_with(weights, answer_types=("yes/no", "number", "other")):
    chosen = OBJECTIVES.settings_of("gradient_supervision")(weight=1, answer_type_weight=weights)
    return OBJECTIVES["gradient_supervision"](chosen, TrainingStatistics(answer_types=answer_types))


def test_ends_are_weighed_by_the_answer_type_of_their_question():
    outputs = _ends_of_types([1, 2, 1, 0])
    each = []
    for end in range(4):  # one end alone, by the weight of the pairs' rows
        outputs.ends.weight = torch.eye(4, dtype=torch.float64)[end]
        each.append(_term_with({})(outputs).loss)
    outputs.ends.weight = torch.ones(4, dtype=torch.float64)
    expected = 0.25 * each[0] + each[1] + 0.25 * each[2] + 3 * each[3]
    torch.testing.assert_close(_term_with({"number": 0.25, "yes/no": 3})(outputs).loss, expected)
    assert len({round(value.item(), 6) for value in each}) == 4


def test_a_type_of_weight_zero_is_left_out_of_the_log():
    outputs = _ends_of_types([1, 2, 1, 2])
    result = _term_with({"number": 0})(outputs)
    assert result.counts["gs_cosine"] == 2
    outputs.batch.answer_type = torch.tensor([2, 2, 2, 2])
    assert _term_with({"number": 0})(outputs).counts["gs_cosine"] == 4


@pytest.mark.parametrize(("weights", "known", "told"), [
    ({"numbers": 0}, ("yes/no", "number"), "no answer type 'numbers'.*it has yes/no, number"),
    ({"number": 0}, (), "it has none"),
    ({"number": -1}, ("number",), "number must not be negative"),
    ({"number": math.nan}, ("number",), "number must not be negative"),
])  # fmt: skip
def test_answer_types_that_training_does_not_have_are_refused(weights, known, told):
    with pytest.raises(UsageError, match=told):
        _term_with(weights, known)


def _toward_mean(statistics, **settings):
    chosen = OBJECTIVES.settings_of("gradient_supervision")(weight=1, toward="mean", **settings)
    return OBJECTIVES["gradient_supervision"](chosen, statistics)


def test_the_mean_stands_for_the_partner_where_its_class_is_known():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    mix = torch.randn(15, 3, generator=generator, dtype=torch.float64)
    logits = torch.tanh(x.flatten(1)) @ mix
    ends = make_ends(logits, torch.rand(4, 3, dtype=torch.float64), [0, 1, 2, 0], {"regions": x})
    own = ends.directions["regions"].clone()
    ends.partner_class = torch.tensor([[0, -1, 1], [-1, -1, -1], [1, 1, 1], [-1, 0, -1]])
    means = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    term = _toward_mean(TrainingStatistics(class_means=lambda: means))
    found = term(make_outputs(logits, ends.targets, ends))
    expected = own
    for end, region in ends.partner_class.ge(0).nonzero().tolist():
        expected[end, region] = (x[end, region] - means[ends.partner_class[end, region]]).detach()
    score = logits.gather(1, torch.tensor([[0], [1], [2], [0]])) - logits.gather(1, torch.tensor([[2], [0], [0], [1]]))
    (gradient,) = torch.autograd.grad(score.sum(), x, retain_graph=True)
    cosine = torch.nn.functional.cosine_similarity(gradient.flatten(1), expected.flatten(1))
    torch.testing.assert_close(found.loss, (1 - cosine).sum() / 4)


def test_the_mean_needs_classes_and_regions():
    with pytest.raises(UsageError, match="needs pairs whose regions have classes.*--select named"):
        _toward_mean(TrainingStatistics())
    for given_too in ({"place": "question"}, {"cost": "closed_form"}):
        with pytest.raises(UsageError, match="toward: mean is for the place regions, without the closed form"):
            _toward_mean(TrainingStatistics(), **given_too)
