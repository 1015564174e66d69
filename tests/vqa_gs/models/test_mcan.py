"""MCAN: masks, derivatives, and one of its attentions against torch's own."""

import pytest
import torch

from tests.run_settings import config_of
from tests.vqa_gs.models.commands import assert_trains_by_command, help_of, without_model
from tests.vqa_gs.models.inputs import ask, inputs
from tests.vqa_gs.objectives.conftest import ANSWERS, DIM, WORDS
from tests.vqa_gs.tasks.runs import assert_gradients_are_numeric
from vqa_gs.common.errors import UsageError
from vqa_gs.models.layers import masked_softmax
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.mcan import Attention, McanSettings
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep

SMALL = {"hidden": 8, "word_dim": 6, "layers": 2, "heads": 2, "reduction": 8, "joint": 12, "glimpses": 2}


def make(dtype=torch.float64, **settings):
    torch.manual_seed(0)
    return MODELS["mcan"](DIM, WORDS, ANSWERS, McanSettings(**{**SMALL, **settings})).to(dtype).eval()


@pytest.mark.parametrize("regions", [0, 1, 5, 100])
def test_any_number_of_regions(regions):
    model = make()
    features, mask, tokens = inputs(regions)
    out = ask(model, features, mask, tokens)
    sizes = model.sizes()
    assert out.logits.shape == (3, ANSWERS)
    assert torch.isfinite(out.logits).all()
    assert {name: getattr(out, name).shape[1] for name in sizes} == sizes
    there = mask.any(1).to(torch.float64)
    torch.testing.assert_close(out.attention.sum(1), there)
    assert not out.attention[~mask].any()


def test_padding_changes_nothing_and_order_of_regions_neither():
    model = make()
    features, mask, tokens = inputs()
    expected = ask(model, features, mask, tokens).logits
    more = torch.cat([features, torch.randn(3, 4, DIM, dtype=torch.float64)], 1)  # whatever stands in the padding
    padded = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], 1)
    torch.testing.assert_close(ask(model, more, padded, tokens).logits, expected)
    longer = torch.nn.functional.pad(tokens, (3, 0))
    torch.testing.assert_close(ask(model, features, mask, longer).logits, expected)
    cut = ask(model, features[:1, :3], mask[:1, :3], tokens[:1, 2:])
    torch.testing.assert_close(cut.logits, expected[:1])
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(ask(model, features[:, order], mask[:, order], tokens).logits, expected)


def test_no_region_and_no_word_give_finite_logits_and_gradients():
    model = make()
    features, mask, tokens = inputs()
    mask[1], tokens[2] = False, 0
    features = (features * mask.unsqueeze(2)).requires_grad_()
    out = ask(model, features, mask, tokens)
    assert torch.isfinite(out.logits).all()
    assert not out.attended[1].any()
    assert not out.question[2].any()
    (gradient,) = torch.autograd.grad(out.logits.sum(), features, create_graph=True)
    assert not gradient[1].any()
    assert not gradient[0, 3:].any()
    assert gradient[2].any()
    gradients = torch.autograd.grad(gradient.pow(2).sum(), [*model.decoder.parameters()], allow_unused=True)
    assert all(torch.isfinite(one).all() for one in gradients if one is not None)


def test_twice_differentiable_by_regions_and_words_with_dropout():
    model = make(layers=1, hidden=4, reduction=4, joint=4, glimpses=1, feed_forward=2).train()
    features, mask, tokens = inputs(regions=3, rows=1, length=4)
    words = model.embed_words(tokens).detach()

    def logits(regions, vectors):
        torch.manual_seed(5)  # the same dropout at each call
        question = model.encode(vectors, tokens != 0, True)
        return model.answer(regions, mask, question).logits[:, :2]

    features.requires_grad_()
    words.requires_grad_()
    assert torch.autograd.gradcheck(logits, (features, words))
    assert torch.autograd.gradgradcheck(logits, (features, words))


def test_second_derivative_by_words_in_float32_is_that_in_float64():
    """In float32 the LSTM is another one, oneDNN's."""
    found = []
    for dtype in (torch.float32, torch.float64):
        model = make(dtype)
        features, mask, tokens = inputs()
        words = model.embed_words(tokens).detach().requires_grad_()
        out = model.answer(features.to(dtype), mask, model.encode(words, tokens != 0, True))
        (gradient,) = torch.autograd.grad(out.logits[:, 1].sum(), words, create_graph=True)
        found.append(torch.autograd.grad(gradient.pow(2).sum(), [*model.lstm.parameters()]))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
        assert other.any()


def test_in_bf16_it_stays_near():
    model = make(torch.float32)
    features, mask, tokens = inputs()
    expected = ask(model, features.float(), mask, tokens).logits
    with torch.autocast("cpu", torch.bfloat16):
        found = ask(model, features.float(), mask, tokens).logits
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("place", ["regions", "attended", "question"])
@pytest.mark.parametrize("kind", ["masked", "matched"])
def test_parameter_gradients_of_gradient_supervision_are_numeric(place, kind, make_batch):
    model = make(layers=1).train()
    terms = {
        "answer": AnswerSettings(),
        "gradient_supervision": GradientSupervisionSettings(weight=2.0, place=place),
    }
    step = TrainingStep(model, terms, TASKS["vqa"])
    batch = make_batch(kind)
    _, sums, counts = step(batch)
    assert counts["gs_cosine"] > 0
    assert sums["gs_cosine"].isfinite()
    names = ["words_net.weight", "regions_net.weight", "norm.weight", "classifier.weight"]
    if place != "attended":  # the direction between attended vectors is a target: what it depends on is not asked
        names += ["lstm.weight_hh_l0", "see.weight", "encoder.0.attend.layer.key_value.weight"]
        names += [f"decoder.0.{part}.layer.query.weight" for part in ("attend", "ask")]
        names += ["decoder.0.think.layer.0.weight", "decoder.0.think.norm.weight", "reduce_regions.score.0.weight"]
    own = dict(model.named_parameters())
    assert_gradients_are_numeric(step, batch, {name: own[name] for name in names})


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    ours = Attention(McanSettings(hidden=8, heads=2, dropout=0.0)).double()
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.merge.weight)
        theirs.out_proj.bias.copy_(ours.merge.bias)
    x, source = torch.randn(3, 4, 8, dtype=torch.float64), torch.randn(3, 5, 8, dtype=torch.float64)
    mask = torch.rand(3, 5) > 0.4
    mask[:, 0] = True
    expected, _ = theirs(x, source, source, key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, source, mask), expected)


def test_attention_of_the_model_is_the_mean_over_glimpses():
    model = make()
    features, mask, tokens = inputs()
    seen = []
    model.reduce_regions.register_forward_hook(lambda _, given, made: seen.append((given[0], made[1])))
    out = ask(model, features, mask, tokens)
    ((states, weights),) = seen
    expected = masked_softmax(model.reduce_regions.score(states).transpose(1, 2), mask.unsqueeze(1))
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(out.attention, expected.mean(1))
    first = (expected[:, 0].unsqueeze(2) * states).sum(1)
    torch.testing.assert_close(out.attended[:, :8], first)


def test_settings_are_checked():
    defaults = McanSettings()
    assert (defaults.hidden, defaults.layers, defaults.heads, defaults.joint) == (512, 6, 8, 1024)
    with pytest.raises(UsageError, match="model.hidden must be a multiple of model.heads"):
        McanSettings(hidden=100)
    for name, value in (("layers", 0), ("heads", 0), ("glimpses", 0), ("joint", 0), ("dropout", 1.0)):
        with pytest.raises(UsageError, match=f"model.{name} must be"):
            McanSettings(**{name: value})


def test_the_closed_form_is_refused(tiny):
    given = {**without_model(tiny), "architecture": "mcan", "model": SMALL}
    config_of(given, objectives__gradient_supervision={"weight": 1.0}).check()
    closed = config_of(given, objectives__gradient_supervision={"weight": 1.0, "cost": "closed_form"})
    with pytest.raises(UsageError, match=r"needs the attention's trace.*mcan"):
        closed.check()


def test_help_names_its_settings(capsys):
    told = help_of("mcan", capsys)
    assert all(f"--model.{name}" in told for name in SMALL)
    assert "--model.dropout_attention" not in told


def test_it_trains_predicts_and_resumes_by_command(tiny, tmp_path, monkeypatch):
    sizes = {**SMALL, "hidden": 16, "layers": 1, "dropout": 0.0}
    assert_trains_by_command(
        tiny, "mcan", sizes, tmp_path, monkeypatch, **{"objectives.gradient_supervision.weight": 1}
    )
