import pytest
import torch

from vqa_gs.common.errors import UsageError
from vqa_gs.models.layers import WeightNormLinear, masked_softmax
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.updn import UpDnSettings

SMALL = {"hidden": 16, "word_dim": 8}


def make(**settings):
    torch.manual_seed(0)
    return MODELS["updn"](12, 20, 7, UpDnSettings(**{**SMALL, **settings})).eval()


def inputs(batch=3, regions=5):
    torch.manual_seed(1)
    mask = torch.ones(batch, regions, dtype=torch.bool)
    mask[0, 3:] = False
    features = torch.randn(batch, regions, 12) * mask.unsqueeze(-1)
    boxes = torch.rand(batch, regions, 4) * 100
    return features, boxes, torch.full((batch, 2), 100.0), mask, torch.randint(0, 20, (batch, 14))


@pytest.mark.parametrize("activation", ["relu", "gated_tanh"])
@pytest.mark.parametrize("extra", [{}, {"boxes": True}, {"standardize": True}])
def test_shapes_and_padding(activation, extra):
    model = make(activation=activation, **extra)
    features, boxes, sizes, mask, tokens = inputs()
    out = model(features, boxes, sizes, mask, tokens)
    assert out.logits.shape == (3, 7)
    assert out.attention[0, 3:].tolist() == [0, 0]
    torch.testing.assert_close(out.attention.sum(1), torch.ones(3))
    cut = model(features[:1, :3], boxes[:1, :3], sizes[:1], mask[:1, :3], tokens[:1])
    torch.testing.assert_close(cut.logits, out.logits[:1], rtol=1e-4, atol=1e-5)


def test_order_of_regions_does_not_matter():
    model = make(boxes=True)
    features, boxes, sizes, mask, tokens = inputs()
    order = torch.randperm(5)
    out = model(features, boxes, sizes, mask, tokens)
    permuted = model(features[:, order], boxes[:, order], sizes, mask[:, order], tokens)
    torch.testing.assert_close(permuted.logits, out.logits, rtol=1e-4, atol=1e-5)


def test_head_is_twice_differentiable_by_regions():
    model = make().double()
    torch.manual_seed(2)
    regions = torch.randn(2, 3, 12, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(2, 3, dtype=torch.bool)
    question = torch.randn(2, 16, dtype=torch.float64)

    def gradient(x):
        return torch.autograd.grad(model.answer(x, mask, question).logits[:, 1].sum(), x, create_graph=True)[0]

    assert torch.autograd.gradgradcheck(lambda x: model.answer(x, mask, question).logits, (regions,))
    total = gradient(regions).pow(2).sum()
    grads = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    touched = {name for (name, _), g in zip(model.named_parameters(), grads, strict=True) if g is not None}
    assert "region_net.linear.direction" in touched
    assert not any(name.startswith(("gru", "embedding")) for name in touched)


def test_an_image_without_regions_gives_finite_logits():
    model = make()
    features, boxes, sizes, mask, tokens = inputs()
    mask[1] = False
    out = model(features, boxes, sizes, mask, tokens)
    assert torch.isfinite(out.logits).all()
    assert masked_softmax(torch.randn(1, 4), torch.zeros(1, 4, dtype=torch.bool)).sum() == 0


def test_weight_norm_matches_its_definition():
    torch.manual_seed(0)
    layer = WeightNormLinear(5, 3).double()
    with torch.no_grad():
        layer.scale.mul_(2.5)
    x = torch.randn(4, 5, dtype=torch.float64)
    weight = layer.scale * layer.direction / layer.direction.pow(2).sum().sqrt()
    torch.testing.assert_close(layer(x), x @ weight.T + layer.bias)


def test_statistics_and_word_vectors():
    model = make(standardize=True)
    mean, std = torch.arange(12.0), torch.full((12,), 2.0)
    std[3] = 0
    model.fit_regions(mean, std)
    features = (mean + 4).expand(1, 1, 12)
    out = model.prepare_regions(features, torch.zeros(1, 1, 4), torch.ones(1, 2), torch.ones(1, 1, dtype=torch.bool))
    expected = torch.full((12,), 2.0)
    expected[3] = 4
    torch.testing.assert_close(out[0, 0], expected)
    found = torch.zeros(20, dtype=torch.bool)
    found[[0, 4]] = True
    model.load_word_vectors(torch.ones(20, 8), found)
    assert model.embedding.weight[4].tolist() == [1.0] * 8
    assert model.embedding.weight[0].tolist() == [0.0] * 8
    with pytest.raises(UsageError, match="word_dim to 9"):
        model.load_word_vectors(torch.ones(20, 9), found)


def test_bad_settings_and_shapes_are_named():
    with pytest.raises(UsageError, match="dropout_words"):
        UpDnSettings(dropout_words=1.0)
    with pytest.raises(ValueError, match=r"\(batch, regions, 12\)"):
        make().prepare_regions(torch.zeros(1, 2, 13), torch.zeros(1, 2, 4), torch.ones(1, 2), torch.ones(1, 2) > 0)


def test_one_logit_a_row_is_that_of_all_and_so_is_its_gradient():
    model = make().double()
    features, boxes, sizes, mask, tokens = inputs()
    out = model(features.double(), boxes, sizes, mask, tokens)
    answers = torch.tensor([2, 0, 6])
    picked, column = out.pick(answers), out.logits.gather(1, answers.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(picked, column, rtol=1e-12, atol=0)
    weight = torch.tensor([1.0, -2, 3], dtype=torch.float64)
    for parameter in (model.classifier[2].direction, model.classifier[2].scale, model.region_net.linear.direction):
        one, other = (
            torch.autograd.grad((x * weight).sum(), parameter, retain_graph=True)[0] for x in (picked, column)
        )
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_answers_start_rare_unless_told():
    """Lin et al.'s start: each answer at odds of one in all; a sigmoid of zero input is then 1 / answers."""
    rare, even = make().classifier[-1].bias, make(rare_answers=False).classifier[-1].bias
    torch.testing.assert_close(torch.sigmoid(rare), torch.full_like(rare, 1 / len(rare)))
    assert even.abs().max() < 1
    assert torch.isfinite(MODELS["updn"](4, 5, 1, UpDnSettings(**SMALL)).classifier[-1].bias).all()
