"""Gradient supervision of product attention in closed form: the gradient by the regions is never formed.

With the attended vector ``v = sum_k a_k v_k``, the decision's gradient by it ``u = d f / d v``, the attention's scores
s and ``c_k = d f / d s_k = a_k (u . v_k - sum_j a_j u . v_j)``, the gradient by region k is

    g_k = a_k u + c_k W^T p_k,        p_k = slope_k * signal        (see `AttentionTrace`),

and the cosine to a direction d needs of it only

    <g, d> = sum_k a_k u . d_k + c_k p_k . (W d_k)
    |g|^2  = sum_k a_k^2 |u|^2 + 2 a_k c_k p_k . (W u) + c_k^2 p_k^T (W W^T) p_k.

For d_k = x_k - y_l with both ends in the batch, W d_k = z_k - z_l is there already. So what is left of the double
backward pass are one product of (regions x hidden) by (hidden x hidden), and one more for its own gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vqa_gs.objectives._base import AttentionTrace

# Numbers of a piece: a few MB, which is also enough rows for a product at full speed.
_PIECE = 1 << 21


def closed_form_cosine(
    trace: AttentionTrace,
    regions: Tensor,
    by_attended: Tensor,
    direction: Tensor,
    counterpart: Tensor,
    moves: Tensor,
    counted: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The cosine between the decision's gradient by the regions and a direction.

    Args:
        trace: what the attention computed for the 2P ends.
        regions: (2P, regions, dim), the ends' regions, a constant.
        by_attended: (2P, dim), u, differentiable.
        direction: (2P, regions, dim), each end minus its partner, zero where ``moves`` is False.
        counterpart: (2P, regions) int64, the partner's region that each corresponds to, as a row of all the ends'
            regions (2P * regions), -1 for none.
        moves: (2P, regions) bool, where the direction counts.
        counted: (2P, regions) bool, regions whose gradient counts; None: all.

    Returns:
        The cosine (2P,), and (2P,) bool, where the direction is not zero. A zero gradient gives cosine 0.
    """
    precise = torch.promote_types(by_attended.dtype, torch.float32)
    u, a = by_attended.to(precise), trace.attention.to(precise)
    signal, weight = trace.signal.to(precise), trace.weight.to(precise)
    with torch.autocast(u.device.type, enabled=False):
        uv, ud = _along(regions.to(precise), u), _along(direction.to(precise), u)
        c = a * (uv - (a * uv).sum(1, keepdim=True))
        moved, square = _Products.apply(trace.z, signal, weight @ weight.T, trace.slope, trace.bias, counterpart, moves)
        wu = u @ weight.T
        cross = _along(trace.slope.to(precise), signal * wu)
        length = torch.linalg.vector_norm(direction, dim=(1, 2), dtype=precise)
        inner = a * ud + c * moved
        squares = a * a * (u * u).sum(1, keepdim=True) + 2 * a * c * cross + c * c * square
        if counted is not None:
            inner, squares = inner * counted, squares * counted
        total = squares.sum(1)
        tiny = torch.finfo(precise).tiny
        alive = (total > 0) & (length > 0)
        # Where there is no gradient the root has no derivative: 1 stands in for it, and the row teaches nothing.
        root = torch.where(alive, total, 1).sqrt()
        return torch.where(alive, inner.sum(1) / (root * length.clamp_min(tiny)), 0), length > 0


def _along(x: Tensor, u: Tensor) -> Tensor:
    """``x_k . u`` of each row: x (n, regions, dim), u (n, dim) -> (n, regions).

    The vector comes first: on the CPU this product, and its gradient by u, run several times faster than the other
    way round.
    """
    return torch.bmm(u.unsqueeze(1), x.transpose(1, 2)).squeeze(1)


class _Products(torch.autograd.Function):
    """``p_k . (z_k - z_l)`` and ``p_k^T M p_k`` for p = slope * signal, with two products in all where M is symmetric.

    Plain autograd needs three for the second alone. The rest is bound by memory, so it is done in pieces that stay in
    a core's cache. Products run in the type that the forward pass ran them in.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        signal: Tensor,
        gram: Tensor,
        slope: Tensor,
        bias: Tensor,
        counterpart: Tensor,
        moves: Tensor,
    ) -> tuple[Tensor, Tensor]:
        hidden, exact = z.shape[-1], signal.dtype
        flat, half_gram = z.reshape(-1, hidden), gram.to(z.dtype)
        image = torch.empty_like(z)
        steps = torch.empty(z.shape, dtype=exact, device=z.device)
        moved, square = (torch.empty(moves.shape, dtype=exact, device=z.device) for _ in range(2))
        for part in _pieces(z):
            p = slope[part] * signal[part].unsqueeze(1)
            there = flat.index_select(0, counterpart[part].clamp_min(0).reshape(-1)).to(exact).view_as(p)
            there[counterpart[part] < 0] = bias.to(exact)
            torch.sub(z[part], there, out=steps[part])
            steps[part][~moves[part]] = 0
            half = p.to(z.dtype).view(-1, hidden)
            torch.mm(half, half_gram, out=image[part].view(-1, hidden))
            torch.sum(p * steps[part], 2, out=moved[part])
            torch.sum(p * image[part], 2, out=square[part])
        ctx.save_for_backward(slope, signal, steps, image, counterpart, moves)
        return moved, square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_moved: Tensor, grad_square: Tensor) -> tuple[Tensor | None, ...]:
        slope, signal, steps, image, counterpart, moves = ctx.saved_tensors
        hidden, half = slope.shape[-1], image.dtype
        grad_moved, grad_square = (grad_moved * moves).unsqueeze(2), grad_square.unsqueeze(2)
        grad_signal, grad_bias = torch.empty_like(signal), signal.new_zeros(hidden)
        grad_gram = torch.zeros(hidden, hidden, dtype=half, device=signal.device)
        by_z = torch.empty_like(steps)
        for part in _pieces(steps):
            p = slope[part] * signal[part].unsqueeze(1)
            # By p: the step it is multiplied with, and 2 M p, which the forward pass has.
            grad_p = (steps[part] * grad_moved[part]).addcmul_(image[part], 2 * grad_square[part])
            torch.sum(grad_p.mul_(slope[part]), 1, out=grad_signal[part])
            torch.mul(p, grad_moved[part], out=by_z[part])
            weighted = (p * grad_square[part]).to(half).view(-1, hidden)
            torch.addmm(grad_gram, p.to(half).view(-1, hidden).T, weighted, out=grad_gram)
        # Where there is no counterpart, the step is z_k - b.
        known = (counterpart >= 0).reshape(-1)
        there = by_z.view(-1, hidden)
        grad_bias = -((~known).to(there.dtype) @ there)
        taken = known.nonzero().squeeze(1)
        back = there.index_select(0, taken)
        there.index_add_(0, counterpart.reshape(-1)[taken], back, alpha=-1)
        return by_z.to(half), grad_signal, grad_gram.to(signal.dtype), None, grad_bias, None, None


def _pieces(x: Tensor) -> list[slice]:
    """Slices of ends that fit a cache; on a GPU, where each call costs, all at once."""
    ends = len(x) if x.device.type != "cpu" else max(1, _PIECE // max(1, x[0].numel()))
    return [slice(start, start + ends) for start in range(0, len(x), max(1, ends))]
