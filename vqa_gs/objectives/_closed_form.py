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

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vqa_gs.objectives._base import AttentionTrace
from vqa_gs.objectives._regions import longest

# Numbers of a piece: a few MB, which is also enough rows for a product at full speed.
_PIECE = 1 << 21


def closed_form_cosine(
    trace: AttentionTrace,
    regions: Tensor,
    by_attended: Tensor,
    counterpart: Tensor,
    moves: Tensor,
    sparse: int = 0,
    free: bool = False,
) -> tuple[Tensor, Tensor]:
    """The cosine between the decision's gradient by the regions and the direction from the partner.

    Args:
        trace: what the attention computed for the 2P ends.
        regions: (2P, regions, dim), the ends' regions, a constant.
        by_attended: (2P, dim), u, differentiable.
        counterpart: (2P, regions) int64, the partner's region that each corresponds to, as a row of all the ends'
            regions (2P * regions), -1 for none.
        moves: (2P, regions) bool, the regions that are aligned; the direction is zero elsewhere.
        sparse: use the direction on so many regions only, those that differ most; 0: on all.
        free: leave the gradient elsewhere out of account.

    Returns:
        The cosine (2P,), and (2P,) bool, where the direction is not zero. A zero gradient gives cosine 0.
    """
    precise = torch.promote_types(by_attended.dtype, torch.float32)
    u, a = by_attended.to(precise), trace.attention.to(precise)
    signal, weight = trace.signal.to(precise), trace.weight.to(precise)
    with torch.autocast(u.device.type, enabled=False):
        ud, squares = _Steps.apply(u, regions.to(precise), counterpart)
        moves = moves & longest(squares * moves, sparse)
        uv = _along(regions.to(precise), u)
        c = a * (uv - (a * uv).sum(1, keepdim=True))
        moved, quadratic = _Products.apply(
            trace.z, signal, weight @ weight.T, trace.slope, trace.bias, counterpart, moves
        )
        wu = u @ weight.T
        cross = _along(trace.slope.to(precise), signal * wu)
        square = a * a * (u * u).sum(1, keepdim=True) + 2 * a * c * cross + c * c * quadratic
        total = (square * moves if free else square).sum(1)
        length = (squares * moves).sum(1).sqrt()
        inner = ((a * ud + c * moved) * moves).sum(1)
        alive = (total > 0) & (length > 0)
        # Where there is no gradient the root has no derivative: 1 stands in for it, and the row teaches nothing.
        norms = torch.where(alive, total, 1).sqrt() * torch.where(alive, length, 1)
        return torch.where(alive, inner / norms, 0), length > 0


def _along(x: Tensor, u: Tensor) -> Tensor:
    """``x_k . u`` of each row: x (n, regions, dim), u (n, dim) -> (n, regions).

    The vector comes first: on the CPU this product, and its gradient by u, run several times faster than the other
    way round.
    """
    return torch.bmm(u.unsqueeze(1), x.transpose(1, 2)).squeeze(1)


class _Steps(torch.autograd.Function):
    """``u . (x_k - x_l)`` and ``|x_k - x_l|^2`` of each region, in pieces: the directions are never in memory at once.

    The regions are constants; only u has a gradient.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, x: Tensor, counterpart: Tensor) -> tuple[Tensor, Tensor]:
        along, squares = (torch.empty(counterpart.shape, dtype=u.dtype, device=u.device) for _ in range(2))
        for part, step in _steps(x, counterpart):
            torch.bmm(u[part].unsqueeze(1), step.transpose(1, 2), out=along[part].unsqueeze(1))
            torch.linalg.vecdot(step, step, out=squares[part])
        ctx.save_for_backward(x, counterpart)
        ctx.mark_non_differentiable(squares)
        return along, squares

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, counterpart = ctx.saved_tensors
        by_u = grad.new_empty(len(x), x.shape[2])
        for part, step in _steps(x, counterpart):
            torch.bmm(grad[part].unsqueeze(1), step, out=by_u[part].unsqueeze(1))
        return by_u, None, None


def _steps(x: Tensor, counterpart: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yields slices of ends and their regions minus the counterparts, in one buffer that is used again."""
    flat, buffer = x.reshape(-1, x.shape[2]), None
    for part in _pieces(x):
        rows = counterpart[part].reshape(-1)
        buffer = _buffer(buffer, len(rows), flat)
        torch.index_select(flat, 0, rows.clamp_min(0), out=buffer)
        buffer[rows < 0] = 0
        yield part, torch.sub(x[part], buffer.view_as(x[part]), out=buffer.view_as(x[part]))


def _buffer(old: Tensor | None, rows: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Returns (rows, columns of ``like``) of uninitialised memory, the old one where it is large enough."""
    return like.new_empty(rows, like.shape[1], dtype=dtype) if old is None or len(old) < rows else old[:rows]


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
        moved, quadratic = (torch.empty(moves.shape, dtype=exact, device=z.device) for _ in range(2))
        p = None
        for part in _pieces(z):
            rows, step = counterpart[part].reshape(-1), steps[part]
            step.view(-1, hidden).copy_(flat.index_select(0, rows.clamp_min(0)))
            step.view(-1, hidden)[rows < 0] = bias.to(exact)
            torch.sub(z[part], step, out=step)
            step[~moves[part]] = 0
            p = _buffer(p, len(rows), flat, exact)
            torch.mul(slope[part], signal[part].unsqueeze(1), out=p.view_as(step))
            torch.mm(p.to(z.dtype), half_gram, out=image[part].view(-1, hidden))
            torch.linalg.vecdot(p.view_as(step), step, out=moved[part])
            torch.linalg.vecdot(p.view_as(step), image[part].to(exact), out=quadratic[part])
        ctx.save_for_backward(slope, signal, steps, image, counterpart, moves)
        return moved, quadratic

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_moved: Tensor, grad_quadratic: Tensor) -> tuple[Tensor | None, ...]:
        slope, signal, steps, image, counterpart, moves = ctx.saved_tensors
        hidden, half = slope.shape[-1], image.dtype
        grad_moved, grad_quadratic = (grad_moved * moves).unsqueeze(2), grad_quadratic.unsqueeze(2)
        grad_signal, grad_bias = torch.empty_like(signal), signal.new_zeros(hidden)
        grad_gram = torch.zeros(hidden, hidden, dtype=half, device=signal.device)
        grad_z = torch.zeros_like(steps)
        p = by_p = None
        for part in _pieces(steps):
            rows, step = counterpart[part].reshape(-1), steps[part]
            p, by_p = _buffer(p, len(rows), signal), _buffer(by_p, len(rows), signal)
            here, by_here = p.view_as(step), by_p.view_as(step)
            torch.mul(slope[part], signal[part].unsqueeze(1), out=here)
            # By p: the step it is multiplied with, and 2 M p, which the forward pass has.
            torch.mul(step, grad_moved[part], out=by_here).addcmul_(image[part], 2 * grad_quadratic[part])
            torch.sum(by_here.mul_(slope[part]), 1, out=grad_signal[part])
            torch.mul(here, grad_quadratic[part], out=by_here)
            torch.addmm(grad_gram, p.to(half).T, by_p.to(half), out=grad_gram)
            here.mul_(grad_moved[part])
            grad_z[part].add_(here)
            # By the counterpart's z; where there is none, the step is z_k - b.
            known = rows >= 0
            taken = known.nonzero().squeeze(1)
            back = p if len(taken) == len(p) else p[taken]
            grad_z.view(-1, hidden).index_add_(0, rows[taken], back, alpha=-1)
            if len(taken) < len(p):
                grad_bias -= p[~known].sum(0)
        return grad_z.to(half), grad_signal, grad_gram.to(signal.dtype), None, grad_bias, None, None


def _pieces(x: Tensor) -> list[slice]:
    """Slices of ends that fit a cache; on a GPU, where each call costs, all at once."""
    ends = len(x) if x.device.type != "cpu" else max(1, _PIECE // max(1, x[0].numel()))
    return [slice(start, start + ends) for start in range(0, len(x), max(1, ends))]
