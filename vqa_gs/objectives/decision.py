"""The decision function of an example, and the cosine its gradient is judged by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vqa_gs.contracts import PairEnds
from vqa_gs.objectives.choices import Variant
from vqa_gs.objectives.losses import answer_loss

# Rows are scaled in pieces of about this many numbers: few enough to stay in a core's cache.
_PIECE = 1 << 19


def decision(
    logits: Tensor,
    labels: Tensor,
    partner_labels: Tensor | None = None,
    targets: Tensor | None = None,
    variant: Variant = "contrast",
    pick: Callable[[Tensor], Tensor] | None = None,
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
        pick: (n,) int64 answers -> (n,) one logit of each example; None takes it from ``logits``.

    Returns:
        f (n,), and (n,) bool: where f says anything. It does not where the example has no answer, nor, for
        ``contrast``, where both ends have the same one.

    Raises:
        ValueError: the variant is unknown or lacks what it needs.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]])
        >>> score, valid = decision(logits, torch.tensor([0, 1]), torch.tensor([1, 1]))
        >>> score.tolist(), valid.tolist()
        ([2.0, 0.0], [True, False])
    """
    valid = labels >= 0
    if variant == "loss":
        if targets is None:
            raise ValueError("the variant 'loss' needs targets: (n, answers)")
        return -answer_loss(logits, targets), valid
    if pick is None:

        def pick(answers: Tensor) -> Tensor:
            return logits.gather(1, answers.unsqueeze(1)).squeeze(1)

    own = pick(labels.clamp_min(0))
    if variant == "true":
        return own, valid
    if variant != "contrast":
        raise ValueError(f"there is no variant {variant!r}, choose one of {', '.join(get_args(Variant))}")
    if partner_labels is None:
        raise ValueError("the variant 'contrast' needs partner_labels: (n,)")
    other = pick(partner_labels.clamp_min(0))
    return own - other * (partner_labels >= 0), valid & (labels != partner_labels)


def end_decision(ends: PairEnds, variant: Variant) -> tuple[Tensor, Tensor]:
    """`decision` at the ends of pairs."""
    return decision(ends.logits, ends.labels, ends.partner_labels, ends.targets, variant, ends.pick)


def cosine(gradient: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine between two tensors, all axes but the first flattened, in float32 or better.

    Args:
        gradient: (n, ...) float.
        direction: (n, ...) float, the same shape; a constant, no gradient flows into it.

    Returns:
        The cosine (n,), and (n,) bool: where the direction is not zero, that is where the cosine means anything.
        A zero gradient gives cosine 0.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import torch
        >>> cos, counts = cosine(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        >>> round(cos[0].item(), 6), counts.tolist()
        (0.6, [True, False])
    """
    if gradient.shape != direction.shape:
        raise ValueError(
            f"gradient and direction must have one shape, got {tuple(gradient.shape)} and {tuple(direction.shape)}"
        )
    precise = torch.promote_types(gradient.dtype, torch.float32)
    # bfloat16 has eight bits of mantissa: a sum over 36 x 2048 products in it is noise.
    g, d = gradient.flatten(1).to(precise), direction.detach().flatten(1).to(precise)
    cos, moves = _Cosine.apply(g, d)
    return cos, moves


class _Cosine(torch.autograd.Function):
    """The cosine of rows, scaled against underflow, in few passes over memory and without copies of the inputs.

    A row's cosine does not change with scale, so each row is brought to a largest number of 1 first: gradients of
    1e-25 have squares that float32 does not hold.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        tiny = torch.finfo(g.dtype).tiny
        inner, gg, dd = dots = g.new_empty(3, len(g))
        g_scale, d_scale = scales = g.new_empty(2, len(g), 1)
        for rows in _pieces(g):
            for scale, x in zip(scales, (g, d), strict=True):
                torch.maximum(x[rows].amax(1, keepdim=True), -x[rows].amin(1, keepdim=True), out=scale[rows])
            scales[:, rows].clamp_min_(tiny)
            a, b = g[rows] / g_scale[rows], d[rows] / d_scale[rows]
            for out, left, right in zip(dots, (a, a, b), (b, a, b), strict=True):
                torch.linalg.vecdot(left, right, out=out[rows])
        norms = (gg * dd).sqrt()
        cos = inner / norms.clamp_min(tiny)
        # At a gradient of zero the cosine has no derivative; such a row teaches nothing.
        by_norms = torch.where(norms > 0, 1 / norms, 0) / g_scale[:, 0]
        by_square = torch.where(norms > 0, cos / gg, 0) / g_scale[:, 0]
        ctx.save_for_backward(g, d, g_scale, d_scale, by_norms, by_square)
        moves = dd > 0
        ctx.mark_non_differentiable(moves)
        return cos, moves

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        g, d, g_scale, d_scale, by_norms, by_square = ctx.saved_tensors
        # d cos / d g = d / (|g| |d|) - cos g / |g|^2
        along_d, along_g = (grad * by_norms).unsqueeze(1), (-grad * by_square).unsqueeze(1)
        out = torch.empty_like(g)
        for rows in _pieces(g):
            torch.div(d[rows], d_scale[rows], out=out[rows]).mul_(along_d[rows])
            out[rows].addcmul_(g[rows] / g_scale[rows], along_g[rows])
        return out, None


def _pieces(x: Tensor) -> list[slice]:
    """Slices of rows that fit a cache; on a GPU, where each call costs, all rows at once."""
    rows = len(x) if x.device.type != "cpu" else max(1, _PIECE // max(1, x.shape[1]))
    return [slice(start, start + rows) for start in range(0, len(x), max(1, rows))]
