"""Whom the debiasing terms teach: gradients by the model's and their own parameters, and where they stop."""

import dataclasses

import pytest
import torch

from tests.vqa_gs.objectives.test_terms import differs_as_told
from vqa_gs.contracts import mean_of_regions
from vqa_gs.objectives.losses import loss_of, residual_targets
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.expert import ExpertSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.objectives.terms.margin import MarginSettings
from vqa_gs.objectives.terms.question_branch import QuestionBranchSettings, focal_weight
from vqa_gs.objectives.terms.residual_target import ResidualTargetSettings

FORMS = ["sigmoid", "softmax"]
MODEL = ("attention_question.linear.direction", "classifier.2.direction", "gru.weight_hh_l0")
EXPERTS = {
    f"{mix}-{output}": {"expert": ExpertSettings(1.0, mix=mix, output=output)}
    for mix in ("reweight", "product", "learned")
    for output in FORMS
}
OTHERS = {
    "margin": {"margin": MarginSettings(1.0, scale=4.0)},
    "residual": {"residual_target": ResidualTargetSettings(1.0), "answer": AnswerSettings()},
}
KINDS = ["rubi", "lpf", "gge", "gge_dq", "cf_vqa"]


@pytest.mark.parametrize("name", EXPERTS | OTHERS)
def test_against_finite_differences(make_model, make_batch, make_step, name):
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, **(EXPERTS | OTHERS)[name])
    for parameter in [model.get_parameter(name) for name in MODEL] + list(step.terms.parameters()):
        differs_as_told(step, batch, parameter)


def branch(kind, output, **more):
    return {"question_branch": QuestionBranchSettings(2.0, kind=kind, output=output, hidden=6, **more)}


@pytest.mark.parametrize("output", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_branch_against_finite_differences(make_model, make_batch, make_step, kind, output):
    """Of what the branch is made of; the encoder's gradient is stopped, see below."""
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, **branch(kind, output))
    term = step.terms["question_branch"]
    if kind == "cf_vqa":
        differs_as_told(step, batch, term.nothing_seen)
        term._towards_the_fact = lambda *_: 0  # it stops gradients, which finite differences do not know
        parameters = [parameter for name, parameter in term.named_parameters() if name != "nothing_seen"]
    else:
        # The difference of probabilities is a constant, through which the branch learns nothing.
        constant = kind in ("gge", "gge_dq") and output == "softmax"
        parameters = [] if constant else list(term.parameters())
    for parameter in [*parameters, model.get_parameter(MODEL[0]), model.get_parameter(MODEL[1])]:
        differs_as_told(step, batch, parameter)


def by_hand(kind, output, z, m, q, y, b, v):
    """Returns the loss of the model, (n,), given the branch's states and answers, the prior and the image's states."""
    if kind == "rubi":
        return loss_of(output, z * torch.sigmoid(m), y)
    if kind == "lpf":
        return focal_weight(q, y, 5.0) * loss_of(output, z, y)
    if kind == "gge":
        return loss_of(output, z, residual_targets(output, y, q if output == "sigmoid" else q.softmax(1)))
    if kind == "gge_dq":
        return loss_of(
            output, z, residual_targets(output, y, (q.sigmoid() if output == "sigmoid" else q.softmax(1)) + b)
        )
    u = z + m + v
    return loss_of(output, u if output == "sigmoid" else torch.nn.functional.logsigmoid(u), y)


@pytest.mark.parametrize("output", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_reaches_the_question_through_the_branch(make_model, make_batch, make_step, kind, output):
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, **branch(kind, output))
    term, seen = step.terms["question_branch"], []
    term.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loss = step(batch)[0]
    (outputs,) = seen
    with torch.no_grad():
        m, q = term.question(outputs.of_rows("question"))
        b = term.prior[batch.question_type] if kind == "gge_dq" else None
        v = term.image(mean_of_regions(outputs.regions, outputs.mask))[0] if kind == "cf_vqa" else None
    rows = by_hand(kind, output, outputs.logits, m, q, batch.targets, b, v)
    parameters = list(model.parameters())
    expected = torch.autograd.grad(2 * rows.mean(), parameters, retain_graph=True, allow_unused=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)
    assert any(part is not None for part in found)


def test_what_is_said_without_the_model_teaches_its_one_number_alone(make_model, make_batch, make_step):
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, **branch("cf_vqa", "softmax"))
    term, seen = step.terms["question_branch"], []
    term.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    step(batch)
    states, _ = term.question(seen[0].of_rows("question"))
    fact = term._outputs(seen[0].logits, states, states).detach()
    alone = term._towards_the_fact(fact, states.detach()).mean()
    gradients = torch.autograd.grad(alone, list(step.parameters()), allow_unused=True)
    taught = [p for p, gradient in zip(step.parameters(), gradients, strict=True) if gradient is not None]
    assert taught == [term.nothing_seen]


def test_before_its_start_the_branch_learns_beside_the_plain_loss(make_model, make_batch, make_step):
    model, batch = make_model(), make_batch("matched")
    plain = make_step(model, answer=AnswerSettings())(batch)[0]
    for kind in KINDS:
        step = make_step(model, **branch(kind, "sigmoid", start_epoch=5.0))
        _, sums, counts = step(batch)
        assert float(sums["question_branch_loss"] / counts["question_branch_loss"]) == pytest.approx(plain.item())
        assert float(sums["question_loss"]) > 0
        step(batch)[0].backward()
        assert all(parameter.grad is not None for parameter in step.terms.parameters())


REPLACING = EXPERTS | {"margin": OTHERS["margin"]} | {kind: branch(kind, "sigmoid") for kind in KINDS}


@pytest.mark.parametrize("name", REPLACING)
def test_gradient_supervision_looks_at_the_plain_logits(make_model, make_batch, make_step, name):
    """What the model says by itself has to change along the pair, not what it says beside the prior."""
    model, batch = make_model(), make_batch("matched")
    gs = GradientSupervisionSettings(weight=1.0)
    alone = make_step(model, gradient_supervision=gs)
    loss, sums, _ = alone(batch)
    with_bias = make_step(model, gradient_supervision=gs, **REPLACING[name])
    without = make_step(model, **REPLACING[name])
    total, found, _ = with_bias(batch)
    torch.testing.assert_close(found["gs_loss"], sums["gs_loss"], rtol=1e-12, atol=0)
    parameters = list(model.parameters())
    parts = [
        torch.autograd.grad(part, parameters, allow_unused=True, materialize_grads=True)
        for part in (total, without(batch)[0], loss)
    ]
    for whole, one, other in zip(*parts, strict=True):
        torch.testing.assert_close(whole, one + other)


@pytest.mark.parametrize("name", REPLACING)
def test_the_answer_loss_gives_way(make_model, make_batch, make_step, name):
    model, batch = make_model(), make_batch("matched")
    step = make_step(model, answer=AnswerSettings(), **REPLACING[name])
    assert list(step.terms) == [next(iter(REPLACING[name]))]
    assert "answer_loss" not in step(batch)[1]
    (term_name, settings), model = *REPLACING[name].items(), make_model(dropout_attention=0.0, dropout_classifier=0.0)
    part = dataclasses.replace(settings, pair_rows=0.0)
    batch.targets[:6] = 0.5  # pair ends count for nothing, whatever their answers are
    one = make_step(model, **{term_name: part})(batch)[0]
    batch.targets[:6] = 0.1
    torch.testing.assert_close(make_step(model, **{term_name: part})(batch)[0], one)
