"""The few layers the field's models are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional


class WeightNormLinear(nn.Module):
    """A linear layer whose weight is ``g * v / |v|`` with one scale for the whole matrix.

    This is ``weight_norm(nn.Linear(...), dim=None)`` of the UpDn family.

    Args:
        inputs: size of the last axis going in.
        outputs: size of the last axis coming out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = nn.Linear(inputs, outputs)
        self.direction = nn.Parameter(plain.weight.detach().clone())
        self.bias = nn.Parameter(plain.bias.detach().clone())
        self.scale = nn.Parameter(plain.weight.detach().norm())

    def _factor(self) -> Tensor:
        return self.scale / torch.linalg.vector_norm(self.direction)

    def weight(self) -> Tensor:
        """Returns the whole matrix, (outputs, inputs)."""
        return self.direction * self._factor()

    def pick(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Returns one output of each row, (n,), in float32 or better: x (n, inputs), outputs (n,) int64."""
        rows = self.direction.index_select(0, outputs)
        return (x * rows).sum(1) * self._factor() + self.bias.index_select(0, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., inputs) to (..., outputs)."""
        inputs = self.direction.shape[1]
        # The scale goes where there is less to multiply: the regions of a batch are nine times the matrix.
        if x.numel() > inputs * inputs:
            return functional.linear(x, self.weight(), self.bias)
        return torch.addcmul(self.bias, functional.linear(x, self.direction), self._factor())


class GatedTanh(nn.Module):
    """``tanh(W x + b) * sigmoid(W' x + b')``, the non-linearity of Teney et al. (CVPR 2018).

    Args:
        inputs: size of the last axis going in.
        outputs: size of the last axis coming out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.value = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., inputs) to (..., outputs)."""
        return torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))


class WeightNormReLU(nn.Module):
    """``relu(W x + b)`` with a weight-normed W, the non-linearity of the public UpDn code.

    Args:
        inputs: size of the last axis going in.
        outputs: size of the last axis coming out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = WeightNormLinear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., inputs) to (..., outputs)."""
        # In place: nothing else sees the linear layer's output, and at 512 x 36 x 1024 a copy is 75 MB.
        return torch.relu_(self.linear(x))


class Classifier(nn.Sequential):
    """From a joint vector to a logit an answer: a layer twice as wide, dropout, a weight-normed linear layer.

    Args:
        layer: the kind of the first layer.
        inputs: size of the joint vector.
        answers: how many.
        dropout: between the two.
        rare: start with rare answers, see `start_rare`.
    """

    def __init__(
        self, layer: type[WeightNormReLU | GatedTanh], inputs: int, answers: int, dropout: float, rare: bool
    ) -> None:
        last = WeightNormLinear(2 * inputs, answers)
        if rare:
            start_rare(last.bias)
        super().__init__(layer(inputs, 2 * inputs), nn.Dropout(dropout), last)

    def answers(self, joint: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Returns logits (batch, answers) of ``joint: (batch, inputs)`` in full precision, and `ModelOutput.pick`."""
        first, dropout, last = self
        assert isinstance(last, WeightNormLinear)
        hidden = dropout(first(joint))
        return full_precision(last(hidden)), partial(last.pick, hidden)


def tanh_classifier(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Makes two smooth layers, so that their gradient can be trained everywhere, with dropout before each."""
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(inputs, hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )


def full_precision(logits: Tensor) -> Tensor:
    """Returns logits in float32, or in float64 if they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


@contextmanager
def recurrence(twice: bool) -> Generator[None, None, None]:
    """Within it recurrent networks are differentiable twice, if so wanted: cuDNN's are only once."""
    with torch.backends.cudnn.flags(enabled=not twice):
        yield


@torch.no_grad()
def relu_slope(z: Tensor, dropout: float) -> tuple[Tensor, float]:
    """The derivative of ReLU followed by dropout, in two parts: ``dropout(relu(z)) = factor * slope * z``.

    Args:
        z: (...) float.
        dropout: the share of numbers that is dropped; on the CPU in multiples of 2^-16.

    Returns:
        slope (...) of z's type, 0 or 1, a constant; and the factor, which belongs where there is less to multiply.
    """
    passes = z > 0
    if not dropout:
        return passes.to(z.dtype), 1.0
    if z.device.type != "cpu":
        return (passes & (torch.rand_like(z) >= dropout)).to(z.dtype), 1 / (1 - dropout)
    # One random number of 64 bits decides four: drawing 512 x 36 x 1024 of them one by one takes 4 % of a step.
    least = round(dropout * 65536) - 32768
    drawn = torch.empty(-(-z.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    passes &= drawn.view(torch.int16)[: z.numel()].view(z.shape) >= least
    # A product with 0 or 1 of z's own type is several times faster than filling by a mask.
    return passes.to(z.dtype), 1 / (1 - (least + 32768) / 65536)


def start_rare(bias: Tensor) -> None:
    """Starts every answer at the odds of one among all, a bias of ``-log(answers - 1)``: ``bias: (answers,)``.

    The first steps then need not push all answers down (Lin et al., *Focal loss*, ICCV 2017, section 4.1).
    """
    if len(bias) > 1:
        nn.init.constant_(bias, -math.log(len(bias) - 1))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis where ``mask`` is True, exactly zero elsewhere.

    Args:
        scores: (..., n) any float.
        mask: bool, of a shape that broadcasts to it. A row without a single True gives a row of zeros, not NaN: a
            masked counterfactual may have lost all its regions.

    Returns:
        (..., n) float32 (float64 for float64 scores).
    """
    scores = full_precision(scores)
    weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)
    return weights * mask.to(weights.dtype)
