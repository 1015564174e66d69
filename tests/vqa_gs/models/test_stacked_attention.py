"""Stacked attention: masks, derivatives, a relation that one look cannot answer, a count that a mean cannot."""

import pytest
import torch

from tests.vqa_gs.models.commands import assert_trains_by_command, help_of
from tests.vqa_gs.models.inputs import ask, inputs
from tests.vqa_gs.objectives.conftest import ANSWERS, DIM, WORDS
from tests.vqa_gs.tasks.runs import assert_gradients_are_numeric
from vqa_gs.common.errors import UsageError
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.stacked_attention import StackedAttentionSettings, offsets
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep

SMALL = {"hidden": 8, "word_dim": 6, "geometry": 4, "counts": 3}


def make(dtype=torch.float64, region_dim=DIM, **settings):
    torch.manual_seed(0)
    made = StackedAttentionSettings(**{**SMALL, **settings})
    return MODELS["stacked_attention"](region_dim, WORDS, ANSWERS, made).to(dtype).eval()


def boxed(**sizes):
    """The same inputs with the numbers of boxes behind each region's own."""
    given, mask, tokens = inputs(**sizes, dim=DIM + 6)
    given[..., -6:] = given[..., -6:].abs() * 0.2 + 0.1 * mask.unsqueeze(2)
    return given, mask, tokens


@pytest.mark.parametrize("gates", [False, True])
@pytest.mark.parametrize("regions", [0, 1, 5, 100])
def test_any_number_of_regions(regions, gates):
    model = make(gates=gates)
    given, mask, tokens = boxed(regions=regions)
    out = ask(model, given, mask, tokens)
    sizes = model.sizes()
    assert out.logits.shape == (3, ANSWERS)
    assert torch.isfinite(out.logits).all()
    assert {name: getattr(out, name).shape[1] for name in sizes} == sizes
    torch.testing.assert_close(out.attention.sum(1), mask.any(1).to(torch.float64))
    assert not out.attention[~mask].any()


@pytest.mark.parametrize("gates", [False, True])
def test_padding_changes_nothing_and_order_of_regions_neither(gates):
    model = make(gates=gates)
    given, mask, tokens = boxed()
    expected = ask(model, given, mask, tokens).logits
    padded = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], 1)
    more = torch.cat([given, torch.zeros(3, 4, DIM + 6, dtype=torch.float64)], 1)
    torch.testing.assert_close(ask(model, more, padded, tokens).logits, expected)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(ask(model, given[:, order], mask[:, order], tokens).logits, expected)


def test_no_region_gives_finite_gradients():
    model = make(gates=True)
    given, mask, tokens = boxed()
    mask[1] = False
    given = (given * mask.unsqueeze(2)).requires_grad_()
    out = ask(model, given, mask, tokens)
    (gradient,) = torch.autograd.grad(out.logits.sum(), given, create_graph=True)
    assert gradient[2].any()
    gradients = torch.autograd.grad(gradient.pow(2).sum(), [*model.attention_regions.parameters()])
    assert all(torch.isfinite(one).all() for one in (gradient, *gradients))


@pytest.mark.parametrize("gates", [False, True])
def test_twice_differentiable_by_regions_with_dropout(gates):
    model = make(hidden=4, geometry=2, counts=2, gates=gates, activation="gated_tanh").train()
    given, mask, tokens = boxed(regions=3, rows=1, length=4)
    question = model.encode_tokens(tokens).detach()

    def logits(regions):
        torch.manual_seed(5)  # the same dropout at each call
        return model.answer(regions, mask, question).logits[:, :2]

    given.requires_grad_()
    assert torch.autograd.gradcheck(logits, given)
    assert torch.autograd.gradgradcheck(logits, given)


@pytest.mark.parametrize("place", ["regions", "attended", "question"])
@pytest.mark.parametrize("gates", [False, True])
def test_parameter_gradients_of_gradient_supervision_are_numeric(place, gates, make_batch):
    model = make(gates=gates, boxes=False).train()
    terms = {
        "answer": AnswerSettings(),
        "gradient_supervision": GradientSupervisionSettings(weight=2.0, place=place),
    }
    step = TrainingStep(model, terms, TASKS["vqa"])
    batch = make_batch("masked")
    _, sums, counts = step(batch)
    assert counts["gs_cosine"] > 0
    assert sums["gs_cosine"].isfinite()
    own = dict(model.named_parameters())
    names = ["region_net.linear.direction", "question_net.linear.direction"]
    if place != "attended":  # the direction between attended vectors is a target: what it depends on is not asked
        names += [
            "second.question.linear.direction",
            "second.score.direction",
            "attention_regions.linear.direction",
        ]
    assert_gradients_are_numeric(step, batch, {name: own[name] for name in names})


def test_offsets_are_those_of_detectors():
    boxes = torch.tensor([[[0.1, 0.2, 0.3, 0.6], [0.5, 0.5, 0.6, 0.9]]], dtype=torch.float64)
    boxes = torch.cat([boxes, boxes[..., 2:] - boxes[..., :2]], -1)
    found = offsets(boxes, boxes[:, 1])
    expected = [(0.2 - 0.55) / 0.1, (0.4 - 0.7) / 0.4, torch.tensor(2.0).log().item(), 0.0]
    torch.testing.assert_close(found[0, 0], torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[0, 1], torch.zeros(4, dtype=torch.float64))


def drawn(rows, generator):
    """Images of three things in a row, each of another kind (0 to 2) and colour (3 to 6): what stands left of one?"""
    kinds = torch.stack([torch.randperm(3, generator=generator) for _ in range(rows)])
    colors = torch.randint(0, 4, (rows, 3), generator=generator)
    features = torch.zeros(rows, 3, DIM)
    features.scatter_(2, kinds.unsqueeze(2), 1.0)
    features.scatter_(2, 3 + colors.unsqueeze(2), 1.0)
    asked = torch.randint(1, 3, (rows,), generator=generator)
    rows_of = torch.arange(rows)
    tokens = torch.stack([torch.full((rows,), 2), 3 + kinds[rows_of, asked]], 1)
    left = torch.arange(3) * 30.0
    boxes = torch.stack([left, left * 0 + 40, left + 20, left * 0 + 60], 1).expand(rows, 3, 4)
    sizes = torch.full((rows, 2), 100.0)
    # Regions come in any order, so that a place in the list says nothing.
    order = torch.stack([torch.randperm(3, generator=generator) for _ in range(rows)])
    shuffled = features[rows_of[:, None], order], boxes[rows_of[:, None], order]
    return (*shuffled, sizes, torch.ones(rows, 3, dtype=torch.bool), tokens), colors[rows_of, asked - 1]


def fitted(model, draw, steps=400):
    """Returns the accuracy on new images after a short training."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(3)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=0.01)
    for _ in range(steps):
        batch, answers = draw(64, generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(*batch).logits, answers).backward()
        optimizer.step()
    batch, answers = draw(500, generator)
    with torch.no_grad():
        return (model.eval()(*batch).logits.argmax(1) == answers).double().mean().item()


def test_it_learns_a_relation_that_one_look_does_not():
    sizes = {"hidden": 24, "dropout_attention": 0.0, "dropout_classifier": 0.0, "geometry": 8}
    accuracy = fitted(make(torch.float32, **sizes), drawn)
    assert accuracy > 0.85, accuracy
    assert fitted(make(torch.float32, **sizes, boxes=False), drawn) < accuracy - 0.2


def counted(rows, generator):
    """Images of up to seven things, of which up to four are of the kind asked for: how many?"""
    asked, many = torch.randint(0, 2, (rows,), generator=generator), torch.randint(0, 5, (rows,), generator=generator)
    others = torch.randint(0, 4, (rows,), generator=generator)
    place = torch.arange(8).expand(rows, 8)
    is_asked, there = place < many[:, None], place < (many + others)[:, None]
    kind = torch.where(is_asked, asked[:, None], 1 - asked[:, None])
    features = torch.zeros(rows, 8, DIM).scatter_(2, kind.unsqueeze(2), 1.0) * there.unsqueeze(2)
    boxes = torch.tensor([10.0, 10.0, 20.0, 20.0]).expand(rows, 8, 4) * there.unsqueeze(2)
    tokens = torch.stack([torch.full((rows,), 2), 3 + asked], 1)
    return (features, boxes, torch.full((rows, 2), 100.0), there, tokens), many


def test_a_count_can_be_read():
    sizes = {"hidden": 24, "dropout_attention": 0.0, "dropout_classifier": 0.0, "counts": 6}
    accuracy = fitted(make(torch.float32, **sizes, gates=True), counted)
    assert accuracy > 0.95, accuracy
    assert fitted(make(torch.float32, **sizes), counted) < accuracy - 0.2


def test_settings_are_checked():
    for name, value in (("geometry", 0), ("counts", 0), ("dropout_attention", 1.0)):
        with pytest.raises(UsageError, match=f"model.{name} must be"):
            StackedAttentionSettings(**{name: value})


def test_help_names_its_settings(capsys):
    told = help_of("stacked_attention", capsys)
    assert all(f"--model.{name}" in told for name in (*SMALL, "gates"))


def test_it_trains_predicts_and_resumes_by_command(tiny, tmp_path, monkeypatch):
    sizes = {**SMALL, "hidden": 16, "gates": True, "rare_answers": False}
    assert_trains_by_command(
        tiny, "stacked_attention", sizes, tmp_path, monkeypatch, **{"objectives.gradient_supervision.weight": 1}
    )
