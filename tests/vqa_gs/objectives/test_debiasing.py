"""The debiasing terms against worked examples, finite differences, and what must get no gradient."""

import math

import pytest
import torch
from torch.nn import functional

from tests.vqa_gs.objectives.outputs import make_ends, make_outputs
from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import ModelOutput, TrainingStatistics, asked
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import entropy, loss_of, residual_targets
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.expert import ExpertSettings, bias_logits
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.objectives.terms.margin import MarginSettings, margins
from vqa_gs.objectives.terms.masked_image import MaskedImageSettings, drawn
from vqa_gs.objectives.terms.negative_image import answer_scores
from vqa_gs.objectives.terms.question_branch import QuestionBranchSettings
from vqa_gs.objectives.terms.residual_target import ResidualTargetSettings

SMOOTH = torch.sigmoid(torch.tensor(-1.0, dtype=torch.float64))


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def term_of(name, settings, prior, sizes=None, answers=None):
    """Returns a term that knows this prior, (types, answers), in float64."""
    answers = prior.shape[1] if answers is None else answers
    statistics = TrainingStatistics([str(at) for at in range(answers)], answer_prior=lambda: prior, sizes=sizes or {})
    return OBJECTIVES[name](settings, statistics).double()


def outputs_of(z, y, ends=None, types=None, **model):
    """Returns outputs of rows of one question type."""
    outputs = make_outputs(z, y, ends, model=[ModelOutput(z, **model)])
    outputs.row_weight = outputs.row_weight.double()
    outputs.batch.question_type = torch.zeros(len(z), dtype=torch.int64) if types is None else types
    return outputs


# The family of the answer prior, expert.


@pytest.mark.parametrize(
    ("b", "z", "y", "delta", "p", "loss", "slope"),
    [
        (0.9, 0, 1, 1.15322, 0.76010, 0.27431, -0.23990),
        (0.9, 0, 0, 1.15322, 0.76010, 1.42752, 0.76010),
        (0, 0, 1, -1.55144, 0.17488, 1.74367, -0.82512),
        (0, 0, 0, -1.55144, 0.17488, 0.19222, 0.17488),
        (0.9, 2, 1, 1.15322, 0.95904, 0.04183, -0.04096),
        (0.3, -1, 0.6, -0.53243, 0.17764, 1.11503, -0.42236),
        (0.5, 1, 0.3, 0, 0.73106, 1.01326, 0.43106),
    ],
)
def test_one_answer_beside_its_prior(b, z, y, delta, p, loss, slope):
    assert float(SMOOTH) == pytest.approx(0.268941, abs=5e-7)
    assert float(bias_logits("sigmoid", numbers(b), SMOOTH)) == pytest.approx(delta, abs=5e-6)
    logits = numbers([z]).requires_grad_()
    out = term_of("expert", ExpertSettings(mix="product"), torch.tensor([[b]]))(outputs_of(logits, numbers([y])))
    assert out.loss.item() == pytest.approx(loss, abs=6e-6)
    (found,) = torch.autograd.grad(out.loss, logits)
    assert found.item() == pytest.approx(slope, abs=6e-6)
    assert found.item() == pytest.approx(p - y, abs=1e-5)


THREE = {"z": numbers([1, -1, 0.5]), "y": numbers([1, 0, 0])}
PRIOR = torch.tensor([[0.9, 0.1, 0.0]])


def gated(g, prior=PRIOR, **settings):
    """Returns a learned mixin whose factor g is a constant."""
    term = term_of("expert", ExpertSettings(**settings), prior, {"joint": 2})
    with torch.no_grad():
        term.gate.weight.zero_()
        term.gate.bias.fill_(math.log(math.expm1(g)) if g else -200.0)
    return term


@pytest.mark.parametrize(
    ("g", "mixin", "spread", "lmh"),
    [
        (0, 1.60060, 0.693147, 1.85013),
        (math.log(2), 0.75242, 0.601854, 0.96909),
        (1, 0.51938, 0.521824, 0.70724),
        (2, 0.14343, 0.261712, 0.23764),
    ],
)
def test_three_answers_learned_mixin_and_its_entropy(g, mixin, spread, lmh):
    outputs = outputs_of(**THREE, joint=torch.zeros(1, 2, dtype=torch.float64))
    assert gated(g, entropy=0.0)(outputs).loss.item() == pytest.approx(mixin, abs=6e-6)
    out = gated(g)(outputs)
    assert out.loss.item() == pytest.approx(lmh, abs=6e-6)
    assert out.sums["expert_entropy"].item() == pytest.approx(spread, abs=6e-7)
    assert out.sums["expert_gate"].item() == pytest.approx(g, abs=1e-9)
    assert out.sums["expert_smooth"].item() == pytest.approx(0.268941, abs=5e-7)


def test_three_answers_product_and_reweighted():
    outputs = outputs_of(**THREE)
    assert loss_of("sigmoid", *THREE.values()).item() == pytest.approx(1.60060, abs=6e-6)
    found = {mix: term_of("expert", ExpertSettings(mix=mix), PRIOR)(outputs) for mix in ("product", "reweight")}
    assert found["product"].loss.item() == pytest.approx(0.51938, abs=6e-6)
    out = found["reweight"]
    assert out.loss.item() == pytest.approx(0.64367, abs=6e-6)
    assert out.sums["expert_loss"] / out.counts["expert_loss"] == pytest.approx(0.64367, abs=6e-6)


def test_the_closed_form_is_the_sum_of_log_factors():
    """Literally: factors of both outcomes times g, added to the model's, normalised anew."""
    torch.manual_seed(0)
    z, y, b = torch.randn(4, 5).double(), torch.rand(4, 5).double(), torch.rand(1, 5)
    term = term_of("expert", ExpertSettings(entropy=0.0), b, {"joint": 3})
    joint = torch.randn(4, 3, dtype=torch.float64)
    g = functional.softplus(joint @ term.gate.weight.T + term.gate.bias)
    s = torch.sigmoid(term.smooth)
    on = functional.logsigmoid(z) + g * torch.log(b.double() + s)
    off = functional.logsigmoid(-z) + g * torch.log1p(-b.double() + s)
    both = torch.logaddexp(on, off)
    by_hand = -(y * (on - both) + (1 - y) * (off - both)).sum(1).mean()
    torch.testing.assert_close(term(outputs_of(z, y, joint=joint)).loss, by_hand, rtol=1e-12, atol=0)
    one = gated(0.3, torch.tensor([[0.9]]), entropy=0.0)
    found = one(outputs_of(numbers([2]), numbers([1]), joint=numbers([0, 0]))).loss.item()
    assert found == pytest.approx(0.091443, abs=6e-7)


def test_limits_of_the_prior():
    joint = torch.zeros(1, 2, dtype=torch.float64)
    plain = loss_of("sigmoid", *THREE.values()).item()
    even = torch.full((1, 3), 0.5)
    for g in (0.1, 1.0, 3.0):  # a prior of one half says nothing
        out = gated(g, even)(outputs_of(**THREE, joint=joint))
        assert out.loss.item() == pytest.approx(plain + 0.36 * math.log(2), rel=1e-12)
    # Equal for all answers, it moves the logits, and in the softmax form nothing.
    flat = torch.full((1, 3), 1 / 3)
    outputs = outputs_of(**THREE)
    assert abs(term_of("expert", ExpertSettings(mix="product"), flat)(outputs).loss.item() - plain) > 0.1
    softmax = ExpertSettings(mix="product", output="softmax")
    choice = loss_of("softmax", *THREE.values()).item()
    assert term_of("expert", softmax, flat)(outputs).loss.item() == pytest.approx(choice, rel=1e-12)
    # Smoothed away, it is plain.
    far = ExpertSettings(mix="product", smooth="fixed")
    term = term_of("expert", far, PRIOR)
    assert not list(term.parameters())
    assert float(bias_logits("sigmoid", numbers(0.9), numbers(1e9))) == pytest.approx(0, abs=1e-8)
    entropies = entropy("sigmoid", bias_logits("sigmoid", numbers([0], [1], [0.1], [0.9], [0.5]), SMOOTH))
    assert entropies.tolist() == pytest.approx([0.463537, 0.463537, 0.550967, 0.550967, 0.693147], abs=6e-7)


def test_limits_of_reweighting():
    zeros = torch.zeros(1, 3, dtype=torch.float64)
    settings = ExpertSettings(mix="reweight")
    for b in (0.0, 0.4, 0.9):
        prior = torch.tensor([[b, b / 2, 0.0]])
        found = term_of("expert", settings, prior)(outputs_of(zeros, THREE["y"])).loss.item()
        assert found == pytest.approx(0.693147, abs=6e-7)
    nothing = term_of("expert", settings, torch.zeros(1, 3))(outputs_of(**THREE)).loss.item()
    assert nothing == pytest.approx(1.60060 / 3, abs=6e-6)
    everything = term_of("expert", settings, torch.ones(1, 3))(outputs_of(**THREE)).loss.item()
    assert everything == 0  # 0 / 0 in the source


def test_softmax_forms():
    torch.manual_seed(0)
    z, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 0])
    y, prior, types = torch.eye(3).double()[labels], torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]), [0, 1, 1, 0]
    b, joint = prior.double()[types], torch.randn(4, 2, dtype=torch.float64)
    outputs = outputs_of(z, y, types=torch.tensor(types), joint=joint)
    weight = 1 - b.gather(1, labels.unsqueeze(1)).squeeze(1)
    losses = functional.cross_entropy(z, labels, reduction="none")
    found = term_of("expert", ExpertSettings(mix="reweight", output="softmax"), prior)(outputs).loss
    torch.testing.assert_close(found, (weight * losses).sum() / weight.sum())
    term = term_of("expert", ExpertSettings(mix="product", output="softmax"), prior)
    factor = torch.log(b + torch.sigmoid(term.smooth))
    torch.testing.assert_close(term(outputs).loss, functional.cross_entropy(z.log_softmax(1) + factor, labels))
    term = term_of("expert", ExpertSettings(output="softmax"), prior, {"joint": 2})
    factor = functional.softplus(term.gate(joint)) * torch.log(b + torch.sigmoid(term.smooth))
    share = factor.softmax(1)
    by_hand = functional.cross_entropy(z + factor, labels) - 0.36 * (share * share.log()).sum(1).mean()
    torch.testing.assert_close(term(outputs).loss, by_hand)


def test_pair_ends_count_as_told_and_by_their_own_type():
    torch.manual_seed(0)
    z, y, prior = torch.randn(4, 3).double(), torch.rand(4, 3).double(), torch.rand(2, 3)
    types = torch.tensor([0, 1, 1, 0])
    outputs = outputs_of(z, y, make_ends(z[:2], y[:2], [0, 1]), types)
    delta = bias_logits("sigmoid", prior.double(), SMOOTH)[types]
    rows = loss_of("sigmoid", z + delta, y)
    for pair_rows in (1.0, 0.0, 0.5):
        settings = ExpertSettings(mix="product", pair_rows=pair_rows)
        weighted = (rows * torch.tensor([pair_rows, pair_rows, 1, 1])).sum() / 4
        torch.testing.assert_close(term_of("expert", settings, prior)(outputs).loss, weighted)


def test_the_order_of_answers_changes_nothing():
    torch.manual_seed(0)
    order, prior = torch.tensor([2, 0, 1]), torch.tensor([[0.9, 0.1, 0.0]])
    for mix in ("product", "reweight"):
        one = term_of("expert", ExpertSettings(mix=mix), prior)(outputs_of(**THREE)).loss
        other = outputs_of(THREE["z"][:, order], THREE["y"][:, order])
        torch.testing.assert_close(term_of("expert", ExpertSettings(mix=mix), prior[:, order])(other).loss, one)


# Targets without the prior.


@pytest.mark.parametrize(
    ("y", "b", "target"),
    [
        (1, 0, 1),
        (1, 0.5, 0.53788),
        (1, 1, 0.23841),
        (1, 2, 0.03597),
        (0.3, 0, 0.3),
        (0.3, 1, 0.21261),
        (0.6, 0.5, 0.42521),
        (0.9, 1, 0.25533),
        (1, -3, 1.99505),
        (0, 0.7, 0),
    ],
)
def test_pseudo_targets(y, b, target):
    assert residual_targets("sigmoid", numbers(y), numbers(b)).item() == pytest.approx(target, abs=6e-6)


def test_residual_targets_of_three_answers():
    term = term_of("residual_target", ResidualTargetSettings(weight=1.0), PRIOR)
    outputs = outputs_of(**THREE)
    found = term.rewrite(outputs)
    assert found[0].tolist() == pytest.approx([0.28370, 0, 0], abs=6e-6)
    assert loss_of("sigmoid", THREE["z"], found).item() == pytest.approx(2.31690, abs=6e-6)
    assert outputs.targets is THREE["y"]
    half = term_of("residual_target", ResidualTargetSettings(weight=0.5), PRIOR).rewrite(outputs)
    torch.testing.assert_close(half, (found + THREE["y"]) / 2)
    later = term_of("residual_target", ResidualTargetSettings(weight=1.0, start_epoch=5), PRIOR)
    assert later.rewrite(outputs) is THREE["y"]
    other = term_of("residual_target", ResidualTargetSettings(weight=1.0, residual="difference"), PRIOR)
    assert other.rewrite(outputs)[0].tolist() == pytest.approx([0.1, 0, 0], abs=1e-6)
    none = term_of("residual_target", ResidualTargetSettings(weight=1.0), torch.zeros(1, 3))
    torch.testing.assert_close(none.rewrite(outputs), THREE["y"])
    with pytest.raises(UsageError, match=r"residual_target.weight must be in \[0, 1\], got 2"):
        ResidualTargetSettings(weight=2)


def test_all_that_fit_targets_see_the_rewritten_ones(make_model, make_batch, make_step):
    batch = make_batch("matched")
    step = make_step(
        make_model(),
        answer=AnswerSettings(),
        residual_target=ResidualTargetSettings(weight=1.0),
        gradient_supervision=GradientSupervisionSettings(weight=1.0, variant="loss"),
    )
    seen = []
    for name in ("answer", "gradient_supervision"):
        step.terms[name].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    _, sums, counts = step(batch)
    prior = step.terms["residual_target"].prior[batch.question_type]
    for outputs in seen:
        torch.testing.assert_close(outputs.targets, residual_targets("sigmoid", batch.targets, prior))
        torch.testing.assert_close(outputs.ends.targets, batch.targets[:6])
    assert float(counts["residual_target"]) == 10
    assert float(sums["residual_target"]) < float(batch.targets.sum())


# Margins, negative images, masked images.


def test_adavqa_is_a_product_of_experts():
    cos, m = numbers([0.3, 0.1, -0.2]), numbers([0.7, 0.2, 0])
    published = 32 * (cos - (1 - m))
    assert published[0].tolist() == pytest.approx([0, -22.4, -38.4])
    prior = torch.tensor([[0.35, 0.1, 0.0], [0.2, 0.2, 0.2]])
    shares = margins(prior, 4.5)
    assert shares[0].tolist() == pytest.approx([7 / 9, 2 / 9, 0])
    term = term_of("margin", MarginSettings(), prior)
    with torch.no_grad():
        term.margins[0] = m[0]
    for answer, (loss, plain) in enumerate(((1.87e-10, 0.00166), (22.4, 6.40166), (38.4, 16.00166))):
        y = torch.eye(3).double()[[answer]]
        out = term(outputs_of(32 * cos, y))
        assert out.loss.item() == pytest.approx(loss, rel=2e-3)
        assert out.loss.item() == pytest.approx(loss_of("softmax", published, y).item(), abs=1e-14)
        assert loss_of("softmax", 32 * cos, y).item() == pytest.approx(plain, abs=6e-6)
        even = term(outputs_of(32 * cos, y, types=torch.tensor([1])))  # constant margins say nothing
        assert even.loss.item() == pytest.approx(plain, abs=6e-6)


def test_some_of_the_margins_at_test_time():
    prior, logits = torch.tensor([[0.6, 0.2, 0.0]]).double(), numbers([1, 2, 3])
    plain = term_of("margin", MarginSettings(), prior)
    some = term_of("margin", MarginSettings(scale=8.0, at_test=0.5), prior)
    every, none = torch.tensor([0]), torch.tensor([-1])
    assert asked([plain], ModelOutput(logits), every).logits is logits
    assert asked([some], ModelOutput(logits), every).logits[0].tolist() == pytest.approx(
        [1 + 4 * 0.75, 2 + 4 * 0.25, 3]
    )
    assert asked([some], ModelOutput(logits), none).logits[0].tolist() == [1, 2, 3]
    finished = OBJECTIVES["margin"](MarginSettings(), TrainingStatistics(["a", "b", "c"], ["what"]))
    finished.load_state_dict(some.state_dict())
    assert finished.margins[0].tolist() == pytest.approx([0.75, 0.25, 0.0])
    with pytest.raises(UsageError, match=r"margin.at_test must be a number"):
        MarginSettings(at_test=math.nan)


def test_types_of_many_answers_have_no_margins():
    many = torch.full((1, 32), 0.03)
    assert not margins(many, 4.5).any()  # 5 bits
    assert margins(many, 5.5).sum() == pytest.approx(1)
    assert margins(many[:, :16], 4.5).sum() == pytest.approx(1)  # 4 bits


def test_ssl_scores_the_best_answer():
    z, y = numbers([2, 0, 0], [2, 0, 0], [2, 0, 0]), numbers([0.9, 0.3, 0], [0, 0, 0], [0.3, 1, 0])
    scores = answer_scores(z, y, "ssl")
    assert (3 * scores).tolist() == pytest.approx([2.36096, 0, 3 * 0.10651], abs=2e-5)


def test_masks_and_their_controls():
    torch.manual_seed(0)
    there = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] * 6])
    counts = torch.tensor([3, 2, 0])
    found = torch.stack([drawn(there, counts) for _ in range(400)])
    assert (found.sum(2) == counts).all()
    assert not found[:, ~there].any()
    assert found[:, 0].double().mean(0).tolist() == pytest.approx([0.5] * 6, abs=0.08)
    regions = torch.randn(2, 6, 3).double()
    regions[1, 2:] = regions[0, 2:]
    ends = make_ends(torch.zeros(2, 3), torch.zeros(2, 3), [0, 1], {"regions": regions})
    attention = torch.tensor([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]])

    def masks(**settings):
        term = OBJECTIVES["masked_image"](MaskedImageSettings(weight=1.0, **settings))
        return term._masked(ends, torch.ones(2, 6, dtype=torch.bool), attention).int().tolist()

    assert masks() == [[1, 1, 0, 0, 0, 0]] * 2
    assert masks(mask="complement") == [[0, 0, 1, 1, 1, 1]] * 2
    assert masks(ignored=1) == [[0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert [sum(row) for row in masks(mask="random")] == [2, 2]
    assert [sum(row) for row in masks(most=1)] == [1, 1]
    ends.directions["regions"].zero_()
    assert not sum(map(sum, masks(mask="complement")))


def test_a_masked_image_has_no_answer(make_model, make_batch, make_step):
    """Against the image asked once more by hand."""
    model, batch = make_model(dropout_attention=0.0, dropout_classifier=0.0), make_batch("identity")
    step = make_step(model, masked_image=MaskedImageSettings(weight=1.0))
    loss, sums, counts = step(batch)
    features, mask = batch.features[:6].clone(), batch.mask[:6].clone()
    features[:, :2], mask[:, :2] = 0, False  # where the ends differ
    logits = model(features, batch.boxes[:6], batch.sizes[:6], mask, batch.tokens[:6]).logits
    rows = functional.softplus(logits).sum(1)
    torch.testing.assert_close(loss, (rows * batch.weight).sum() / 6)
    assert float(sums["masked_image_loss"] / counts["masked_image_loss"]) == pytest.approx(rows.mean().item())


def test_the_cosine_of_masking_is_gradient_supervision_along_the_masked_regions(make_model, make_batch, make_step):
    model, batch = make_model(), make_batch("identity")
    settings = MaskedImageSettings(weight=1.0, empty=0.0, cosine=1.0)
    loss, sums, counts = make_step(model, masked_image=settings)(batch)
    features = batch.features[:6].clone().requires_grad_()
    torch.manual_seed(batch.seed)
    logits = model(features, batch.boxes[:6], batch.sizes[:6], batch.mask[:6], batch.tokens[:6]).logits
    score = logits[torch.arange(6), batch.labels].sum()
    (gradient,) = torch.autograd.grad(score, features)
    removed = features.detach().clone()
    removed[:, 2:] = 0
    cos = functional.cosine_similarity(gradient.flatten(1), removed.flatten(1))
    torch.testing.assert_close(loss.detach(), ((1 - cos) * batch.weight).sum() / 6)
    assert float(sums["masked_image_cosine"] / counts["masked_image_cosine"]) == pytest.approx(cos.mean().item())


def test_settings_that_make_no_sense_are_refused():
    for settings, message in (
        (lambda: ExpertSettings(entropy=-1), "expert.entropy must not be negative, got -1"),
        (lambda: QuestionBranchSettings(gamma=-1), "question_branch.gamma must be at least 0"),
        (lambda: QuestionBranchSettings(hidden=0), "question_branch.hidden must be at least 1"),
        (lambda: MaskedImageSettings(most=-1), "masked_image.most must be at least 0"),
    ):
        with pytest.raises(UsageError, match=message):
            settings()
