"""From the states of words to one vector: of one text by mean or attention, of two by comparing them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.models.layers import masked_softmax


class Pooling(nn.Module):
    """The mean of the states of a text, or their sum weighted by attention, ``softmax_k(w . tanh(W h_k + b))``.

    Args:
        states: size of a state.
        hidden: size of the attention's layer.
        attends: weigh by attention.

    Attributes:
        size: of the pooled vector.
    """

    def __init__(self, states: int, hidden: int, attends: bool) -> None:
        super().__init__()
        self.size = states
        self.score = nn.Sequential(nn.Linear(states, hidden), nn.Tanh(), nn.Linear(hidden, 1)) if attends else None

    def one(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pools ``states: (batch, length, size)`` where ``mask: (batch, length)`` is True: (batch, size)."""
        if self.score is None:
            weight = mask / mask.sum(1, keepdim=True).clamp_min(1)
        else:
            weight = masked_softmax(self.score(states).squeeze(2), mask)
        return torch.bmm(weight.to(states.dtype).unsqueeze(1), states).squeeze(1)

    def forward(self, states: tuple[Tensor, ...], masks: tuple[Tensor, ...]) -> Tensor:
        """Pools the one text."""
        return self.one(states[0], masks[0])


class Comparison(nn.Module):
    """Two texts, each word beside what it is aligned with in the other (Parikh et al., *A Decomposable Attention
    Model for Natural Language Inference*, EMNLP 2016).

    With states p_k and h_l: ``e_kl = F(p_k) . F(h_l)``, ``b_k = sum_l softmax_l(e_kl) h_l`` and the like for h;
    ``G([p_k, b_k, p_k - b_k, p_k * b_k])`` is pooled over the words of each text, and both are put one after the other.

    Args:
        states: size of a state.
        hidden: size of F and G.
        attends: pool the compared words by attention instead of their mean.

    Attributes:
        size: of the pooled vector.
    """

    def __init__(self, states: int, hidden: int, attends: bool) -> None:
        super().__init__()
        self.size = 2 * hidden
        self.align = nn.Sequential(nn.Linear(states, hidden), nn.Tanh())
        self.compare = nn.Sequential(nn.Linear(4 * states, hidden), nn.Softplus(beta=4))
        self.scale = hidden**-0.5
        self.pooling = Pooling(hidden, hidden, attends)

    def forward(self, states: tuple[Tensor, ...], masks: tuple[Tensor, ...]) -> Tensor:
        """Compares and pools: (batch, 2 * hidden)."""
        first, second = states
        here, there = masks
        scores = torch.bmm(self.align(first), self.align(second).transpose(1, 2)) * self.scale
        found = [
            masked_softmax(scores, there.unsqueeze(1).expand_as(scores)).to(first.dtype) @ second,
            masked_softmax(scores.transpose(1, 2), here.unsqueeze(1).expand_as(scores.transpose(1, 2))).to(first.dtype)
            @ first,
        ]
        pooled = [
            self.pooling.one(self.compare(torch.cat([own, other, own - other, own * other], dim=2)), mask)
            for own, other, mask in zip(states, found, masks, strict=True)
        ]
        return torch.cat(pooled, dim=1)
