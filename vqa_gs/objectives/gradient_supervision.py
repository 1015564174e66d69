"""Gradient supervision (Teney, Abbasnejad, van den Hengel, ECCV 2020).

A pair of minimally different examples with different answers says what makes the difference. The gradient of the
decision at one end, by its input, is turned towards the line between the two ends::

    L_GS = 1 - cos( d f(x_i) / d x_i , x_i - x_j )

The sign: f is the logit of x_i's own answer (or its margin over the partner's), which has to fall on the way to x_j,
so it has to rise along x_i - x_j. The paper writes x_j - x_i in one place and x_i - x_j in its Taylor argument; the
first, taken literally, trains the model backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives._base import OBJECTIVES, Ends, Objective, ObjectiveOutput, Step
from vqa_gs.objectives.answer import answer_loss

Variant = Literal["true", "contrast", "loss"]
Place = Literal["regions", "attended"]
EndsChoice = Literal["both", "a", "b"]


def decision(
    logits: Tensor,
    labels: Tensor,
    partner_labels: Tensor | None = None,
    targets: Tensor | None = None,
    variant: Variant = "contrast",
) -> tuple[Tensor, Tensor]:
    """The function f whose gradient is supervised.

    ``true`` is the logit of the example's own answer (the paper); ``contrast`` that logit minus the one of the
    partner's answer, and ``true`` where the partner has no answer; ``loss`` is minus the answer loss.

    Args:
        logits: (n, answers) float.
        labels: (n,) int64, the example's own answer, -1 where it has none.
        partner_labels: (n,) int64, the partner's answer, -1 where it has none; needed for ``contrast``.
        targets: (n, answers) float in [0, 1]; needed for ``loss``.
        variant: which f.

    Returns:
        f (n,), and (n,) bool: where f says anything. It does not where the example has no answer, nor, for
        ``contrast``, where both ends have the same one.

    Raises:
        ValueError: the variant is unknown or lacks what it needs.
    """
    valid = labels >= 0
    if variant == "loss":
        if targets is None:
            raise ValueError("the variant 'loss' needs targets: (n, answers)")
        return -answer_loss(logits, targets), valid
    own = logits.gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1)
    if variant == "true":
        return own, valid
    if variant != "contrast":
        raise ValueError(f"there is no variant {variant!r}, choose one of {', '.join(get_args(Variant))}")
    if partner_labels is None:
        raise ValueError("the variant 'contrast' needs partner_labels: (n,)")
    other = logits.gather(1, partner_labels.clamp_min(0).unsqueeze(1)).squeeze(1)
    return own - other * (partner_labels >= 0), valid & (labels != partner_labels)


def cosine(gradient: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine between two tensors, all axes but the first flattened, in float32 or better.

    Args:
        gradient: (n, ...) float.
        direction: (n, ...) float, the same shape.

    Returns:
        The cosine (n,), and (n,) bool: where the direction is not zero, that is where the cosine means anything.
        A zero gradient gives cosine 0.

    Raises:
        ValueError: the shapes differ.
    """
    if gradient.shape != direction.shape:
        raise ValueError(
            f"gradient and direction must have one shape, got {tuple(gradient.shape)} and {tuple(direction.shape)}"
        )
    precise = torch.promote_types(gradient.dtype, torch.float32)
    # bfloat16 has eight bits of mantissa: a sum over 36 x 2048 products in it is noise.
    g = gradient.flatten(1).to(precise)
    d = direction.flatten(1).to(precise)
    # The cosine does not change with scale, so each row is brought to a largest number of 1 first: gradients of
    # 1e-25 have squares that float32 does not hold.
    tiny = torch.finfo(precise).tiny
    g = g / g.detach().abs().amax(dim=1, keepdim=True).clamp_min(tiny)
    d = d / d.detach().abs().amax(dim=1, keepdim=True).clamp_min(tiny)
    g_norm = torch.linalg.vector_norm(g, dim=1)
    d_norm = torch.linalg.vector_norm(d, dim=1)
    return (g * d).sum(dim=1) / (g_norm * d_norm).clamp_min(tiny), d_norm > 0


def gradient_supervision_loss(
    score: Tensor, x: Tensor, direction: Tensor, *, create_graph: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """``1 - cos(d score / d x, direction)`` of each example, for any twice differentiable torch model.

    Args:
        score: (n,) the decision function of each example, computed from ``x``; example i's must depend on row i
            of ``x`` alone (no batch normalisation in training mode between the two).
        x: (n, ...) float, requires grad or was computed from something that does.
        direction: (n, ...) float, where the score has to rise: x_i - x_j for the example i of a pair (i, j). It is
            a target, no gradient flows into it.
        create_graph: keep the graph, so that the loss can be differentiated by the parameters.

    Returns:
        The loss (n,), the cosine (n,), and (n,) bool where the direction is not zero. The loss is 0 elsewhere.

    Raises:
        ValueError: shapes do not fit, or ``score`` does not depend on ``x``.

    Example:
        >>> import torch
        >>> weight = torch.tensor([1.0, 0.0], requires_grad=True)
        >>> x = torch.tensor([[0.5, 2.0]], requires_grad=True)
        >>> loss, cos, valid = gradient_supervision_loss(x @ weight, x, torch.tensor([[0.0, 3.0]]))
        >>> round(loss.item(), 6)
        1.0
    """
    if score.ndim != 1 or len(score) != len(x):
        raise ValueError(f"score must be ({len(x)},), one number an example, got {tuple(score.shape)}")
    if not x.requires_grad:
        raise ValueError("x does not require grad: call x.requires_grad_() before the model sees it")
    try:
        # The inner gradient is taken outside of autocast's reach: its products keep the types of the forward pass.
        (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=create_graph)
    except RuntimeError as error:
        if "not have been used" in str(error):
            raise ValueError("score does not depend on x") from error
        raise
    cos, valid = cosine(gradient, direction.detach())
    return (1 - cos) * valid, cos, valid


class GradientSupervision(nn.Module):
    """Gradient supervision as a module for one's own torch model: add its value to the loss.

    Args:
        variant: the decision function, see `decision`.

    Example:
        >>> import torch
        >>> from vqa_gs import GradientSupervision
        >>> model = torch.nn.Linear(4, 3)
        >>> x, partner = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4)
        >>> y, partner_y = torch.zeros(8, dtype=torch.long), torch.ones(8, dtype=torch.long)
        >>> loss = GradientSupervision()(model(x), x, x - partner, y, partner_y)
        >>> loss.backward()
        >>> model.weight.grad.shape
        torch.Size([3, 4])
    """

    def __init__(self, variant: Variant = "contrast") -> None:
        super().__init__()
        if variant not in get_args(Variant):
            raise ValueError(f"there is no variant {variant!r}, choose one of {', '.join(get_args(Variant))}")
        self.variant: Variant = variant

    def forward(
        self,
        logits: Tensor,
        x: Tensor,
        direction: Tensor,
        labels: Tensor,
        partner_labels: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Returns the mean of ``weight * (1 - cos)`` over the examples it applies to, () float; 0 if none.

        Args:
            logits: (n, answers), the model's output for ``x``.
            x: (n, ...), requires grad.
            direction: (n, ...), x minus its partner.
            labels: (n,) int64, -1 where an example has no answer.
            partner_labels: (n,) int64; needed for ``contrast``.
            targets: (n, answers); needed for ``loss``.
            weight: (n,) float, 1 when left out.
        """
        score, answered = decision(logits, labels, partner_labels, targets, self.variant)
        loss, _, moves = gradient_supervision_loss(score, x, direction)
        counted = (answered & moves).to(loss.dtype)
        counted = counted if weight is None else counted * weight
        return (loss * counted).sum() / counted.sum().clamp_min(torch.finfo(loss.dtype).tiny)


@dataclass(frozen=True)
class GradientSupervisionSettings:
    """Settings of gradient supervision.

    Attributes:
        weight: lambda, the term's weight in the loss; 0 switches it off.
        variant: the decision function: ``true``, ``contrast`` or ``loss``.
        place: differentiate by the ``regions`` or the ``attended`` (pooled) image vector.
        ends: ends of a pair it acts on: ``both``, ``a`` or ``b``.
        warmup_epochs: the weight rises linearly from 0 over so many epochs.
    """

    weight: float = 0.0
    variant: Variant = "contrast"
    place: Place = "regions"
    ends: EndsChoice = "both"
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        if self.weight < 0 or self.warmup_epochs < 0:
            raise UsageError(
                "objectives.gradient_supervision: weight and warmup_epochs must not be negative, "
                f"got {self.weight} and {self.warmup_epochs}"
            )


@OBJECTIVES.register("gradient_supervision")
class GradientSupervisionTerm(Objective):
    """Gradient supervision as a term of VQA training."""

    Settings = GradientSupervisionSettings
    settings: GradientSupervisionSettings
    needs_pairs = True

    def places(self) -> frozenset[str]:
        """Returns the one place the gradient is taken by."""
        return frozenset({self.settings.place})

    def forward(self, step: Step) -> ObjectiveOutput:
        """Averages ``pair weight * (1 - cos)`` over the pair ends it acts on; ends it cannot act on count as 0."""
        chosen, ends = self.settings.ends, step.ends
        if ends is None:
            # Another process of the same step may have pairs: all report the same names.
            zero = step.logits.new_zeros(())
            nothing = {"gs_loss": zero, "gs_cosine": zero}
            return ObjectiveOutput(zero, sums=nothing, counts=nothing)
        score, valid = decision(ends.logits, ends.labels, ends.partner_labels, ends.targets, self.settings.variant)
        loss, cos, moves = gradient_supervision_loss(
            score, ends.inputs[self.settings.place], ends.directions[self.settings.place]
        )
        counted = (valid & moves).to(loss.dtype)
        if chosen != "both":
            pairs = len(counted) // 2
            counted[slice(pairs, None) if chosen == "a" else slice(0, pairs)] = 0
        share = 1.0 if chosen == "both" else 0.5
        total = (loss * counted * ends.weight).sum()
        ramp = self.settings.warmup_epochs
        return ObjectiveOutput(
            total / (step.end_rows * share),
            sums={"gs_loss": (loss * counted).sum().detach(), "gs_cosine": (cos * counted).sum().detach()},
            counts={"gs_loss": counted.sum(), "gs_cosine": counted.sum()},
            scale=min(1.0, step.epoch / ramp) if ramp > 0 else 1.0,
        )


def end_directions(inputs: Tensor) -> Tensor:
    """Directions of pairs whose inputs need no alignment: each end minus its partner.

    Args:
        inputs: (2P, ...), ends a before ends b.

    Returns:
        (2P, ...) detached.
    """
    a, b = inputs.detach().chunk(2)
    return torch.cat([a - b, b - a])


__all__ = [
    "Ends",
    "GradientSupervision",
    "GradientSupervisionSettings",
    "GradientSupervisionTerm",
    "cosine",
    "decision",
    "end_directions",
    "gradient_supervision_loss",
]
