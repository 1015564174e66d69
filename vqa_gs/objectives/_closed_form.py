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
        counterpart: (2P, regions) int64, the partner's region that each corresponds to, -1 for none.
        moves: (2P, regions) bool, where the direction counts.
        counted: (2P, regions) bool, regions whose gradient counts; None: all.

    Returns:
        The cosine (2P,), and (2P,) bool, where the direction is not zero. A zero gradient gives cosine 0.
    """
    precise = torch.promote_types(by_attended.dtype, torch.float32)
    u, a = by_attended.to(precise), trace.attention.to(precise)
    signal, weight = trace.signal.to(precise), trace.weight.to(precise)
    with torch.autocast(u.device.type, enabled=False):
        uv = torch.bmm(regions.to(precise), u.unsqueeze(2)).squeeze(2)
        ud = torch.bmm(direction.to(precise), u.unsqueeze(2)).squeeze(2)
        c = a * (uv - (a * uv).sum(1, keepdim=True))
        moved, square = _Products.apply(trace.z, signal, weight @ weight.T, trace.slope, trace.bias, counterpart, moves)
        wu = u @ weight.T
        cross = torch.bmm(trace.slope.to(precise), (signal * wu).unsqueeze(2)).squeeze(2)
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


class _Products(torch.autograd.Function):
    """``p_k . (z_k - z_l)`` and ``p_k^T M p_k`` for p = slope * signal, with two products in all where M is symmetric.

    Plain autograd needs three for the second alone, and a copy of z for each step of the first.
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
        hidden = z.shape[-1]
        rows = _partner_rows(counterpart)
        p = slope * signal.unsqueeze(1)
        steps = z.reshape(-1, hidden).index_select(0, rows)
        steps = torch.where((counterpart >= 0).reshape(-1, 1), steps, bias.to(z.dtype))
        steps = torch.sub(z.reshape(-1, hidden), steps).mul_(moves.reshape(-1, 1)).view_as(z)
        moved = torch.linalg.vecdot(p, steps.to(p.dtype))
        half = _products_type(z)
        image = (p.to(half).reshape(-1, hidden) @ gram.to(half)).view_as(p)
        square = torch.linalg.vecdot(p, image.to(p.dtype))
        ctx.save_for_backward(slope, p, steps, image, counterpart, moves, rows)
        ctx.types = z.dtype, half
        return moved, square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_moved: Tensor, grad_square: Tensor) -> tuple[Tensor | None, ...]:
        slope, p, steps, image, counterpart, moves, rows = ctx.saved_tensors
        z_type, half = ctx.types
        hidden = p.shape[-1]
        grad_moved = (grad_moved * moves).unsqueeze(2)
        grad_square = grad_square.unsqueeze(2)
        # By p: the step it is multiplied with, and 2 M p, which the forward pass has.
        grad_p = (grad_moved * steps).addcmul_(2 * grad_square, image.to(p.dtype))
        grad_signal = torch.linalg.vecdot(slope.transpose(1, 2), grad_p.transpose(1, 2))
        flat = p.reshape(-1, hidden)
        grad_gram = (flat.to(half).T @ (p * grad_square).reshape(-1, hidden).to(half)).to(p.dtype)
        by_z = (p * grad_moved).reshape(-1, hidden)
        known = (counterpart >= 0).reshape(-1)
        # Where there is no counterpart, the step is z_k - b.
        grad_bias = -((~known).to(by_z.dtype) @ by_z)
        grad_z = by_z.clone().index_add_(0, rows, by_z * known.unsqueeze(1), alpha=-1)
        return grad_z.view_as(p).to(z_type), grad_signal, grad_gram, None, grad_bias, None, None


def _products_type(z: Tensor) -> torch.dtype:
    """Products run in the type the forward pass ran them in."""
    return z.dtype


def _partner_rows(counterpart: Tensor) -> Tensor:
    """Returns the row of (2P * regions) that each region's counterpart is in, (2P * regions,); row 0 for none."""
    ends, regions = counterpart.shape
    partner = torch.arange(ends, device=counterpart.device).roll(ends // 2).unsqueeze(1)
    return (partner * regions + counterpart).where(counterpart >= 0, 0).reshape(-1)
