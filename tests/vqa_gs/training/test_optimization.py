import doctest

import pytest
import torch

from vqa_gs.common.errors import UsageError
from vqa_gs.training import optimization
from vqa_gs.training.optimization import OptimizationConfig, learning_rate, make_optimizer


def rates(steps, per_epoch=1, total=None, **settings):
    chosen = OptimizationConfig(**settings)
    return [learning_rate(chosen, step, per_epoch, total or max(steps)) for step in steps]


def test_constant_stays():
    assert set(rates(range(11), lr=0.5)) == {0.5}


def test_cosine_by_hand():
    found = rates((0, 2, 3, 4, 6, 9), lr=2.0, schedule="cosine", total=6)
    assert found == pytest.approx([2, 1.5, 1, 0.5, 0, 0])


def test_the_recipe_of_rubi():
    """Its warm-up factors are linspace(.5, 2, 7) of 3e-4, then a quarter at epochs 14, 16, ..., 24."""
    decays = [14, 16, 18, 20, 22, 24]
    recipe = {"lr": 6e-4, "schedule": "step", "decay_epochs": decays, "warmup_epochs": 6, "warmup_start": 0.25}
    found = rates(range(0, 260, 5), 10, rate_changes="epoch", **recipe)
    factors = torch.linspace(0.5, 2, 7).tolist()
    expected = [3e-4 * factors[min(epoch, 6)] * 0.25 ** sum(epoch >= start for start in decays) for epoch in range(26)]
    assert found == pytest.approx([rate for rate in expected for _ in range(2)])
    smooth = rates([5], 10, **recipe)
    assert smooth == pytest.approx([6e-4 * (0.25 + 0.75 * 0.5 / 6)])


def test_examples():
    assert doctest.testmod(optimization).failed == 0


@pytest.mark.parametrize(
    ("name", "kind"), [("adamax", torch.optim.Adamax), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimisers_are_those_of_torch(name, kind):
    weight = torch.nn.Parameter(torch.ones(2))
    made = make_optimizer(OptimizationConfig(optimizer=name, lr=0.25, weight_decay=0.5), [weight])
    assert type(made) is kind
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "training.lr must be a positive number"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must not be negative"),
        ({"schedule": "step"}, "go together"),
        ({"decay_epochs": [3]}, "go together"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        OptimizationConfig(**settings)
