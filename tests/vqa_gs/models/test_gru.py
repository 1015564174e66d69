"""The short cut through padding against torch's own GRU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.models.gru import last_state
from vqa_gs.models.layers import relu_slope


def plain(gru, words):
    return gru(words)[1].squeeze(0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=7))
def test_state_and_gradients_are_those_of_torch(begins):
    torch.manual_seed(0)
    gru = torch.nn.GRU(4, 6, batch_first=True).double()
    first = torch.tensor(begins)
    words = torch.randn(len(begins), 5, 4, dtype=torch.float64) * (torch.arange(5) >= first.unsqueeze(1)).unsqueeze(2)
    words.requires_grad_()
    weight = torch.randn(len(begins), 6, dtype=torch.float64)
    found, expected = last_state(gru, words, first), plain(gru, words)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    inputs = [words, *gru.parameters()]
    ours = torch.autograd.grad((found * weight).sum(), inputs)
    theirs = torch.autograd.grad((expected * weight).sum(), inputs)
    there = (torch.arange(5) >= first.clamp_max(4).unsqueeze(1)).unsqueeze(2)
    torch.testing.assert_close(ours[0], theirs[0] * there, rtol=1e-10, atol=1e-14)  # padding is never learnt
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_in_bf16_it_stays_near():
    torch.manual_seed(0)
    gru = torch.nn.GRU(30, 64, batch_first=True)
    words, first = torch.randn(8, 6, 30), torch.zeros(8, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16):
        found = last_state(gru, words, first)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain(gru, words), rtol=0.05, atol=0.02)
    found.sum().backward()
    assert gru.weight_hh_l0.grad.dtype == torch.float32


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.5])
def test_slope_is_that_of_relu_and_dropout(dropout):
    torch.manual_seed(0)
    z = torch.randn(501, 401)
    slope, factor = relu_slope(z, dropout)
    assert set(slope.unique().tolist()) == {0, 1}
    assert not slope[z <= 0].any()
    assert float(slope[z > 0].mean()) == pytest.approx(1 - dropout, abs=0.005)
    assert factor == pytest.approx(1 / (1 - dropout), rel=2e-5)
    # The share of each row and column is that of independent draws.
    counts = slope.sum(1) / (z > 0).sum(1)
    spread = ((1 - dropout) * dropout / (z > 0).sum(1).double()).sqrt()
    assert ((counts - (1 - dropout)).abs() <= 5 * spread + 1e-6).all()
    torch.manual_seed(0)
    torch.randn(501, 401)
    assert torch.equal(relu_slope(z, dropout)[0], slope)
