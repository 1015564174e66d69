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

from vqa_gs.contracts import AttentionTrace
from vqa_gs.objectives.differing import longest

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
        uv, ud, lengths = _Regions.apply(u, regions.to(precise), counterpart)
        moves = moves & longest(lengths * moves, sparse)
        c = a * (uv - (a * uv).sum(1, keepdim=True))
        half = weight.to(trace.z.dtype)
        moved, cross, quadratic = _Scores.apply(
            trace.z, signal, u @ weight.T, half @ half.T, trace.slope, trace.bias, counterpart, moves
        )
        square = a * a * (u * u).sum(1, keepdim=True) + 2 * a * c * cross + c * c * quadratic
        total = (square * moves if free else square).sum(1)
        length = torch.linalg.vector_norm(lengths * moves, dim=1)
        inner = ((a * ud + c * moved) * moves).sum(1)
        alive = (total > 0) & (length > 0)
        # Where there is no gradient the root has no derivative: 1 stands in for it, and the row teaches nothing.
        norms = torch.where(alive, total, 1).sqrt() * torch.where(alive, length, 1)
        return torch.where(alive, inner / norms, 0), length > 0


class _Regions(torch.autograd.Function):
    """``u . x_k``, ``u . (x_k - x_l)`` and ``|x_k - x_l|`` of each region; only u has a gradient.

    It goes in pieces that stay in a core's cache: the directions are never in memory at once.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, x: Tensor, counterpart: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        value, along, length = (torch.empty(counterpart.shape, dtype=u.dtype, device=u.device) for _ in range(3))
        for part, step in _steps(x, counterpart):
            # The vector comes first: on the CPU this product runs several times faster than the other way round.
            vector = u[part].unsqueeze(1)
            torch.bmm(vector, x[part].transpose(1, 2), out=value[part].unsqueeze(1))
            torch.bmm(vector, step.transpose(1, 2), out=along[part].unsqueeze(1))
            torch.linalg.vector_norm(step, dim=2, out=length[part])
        ctx.save_for_backward(x, counterpart)
        ctx.mark_non_differentiable(length)
        return value, along, length

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_value: Tensor, by_along: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, counterpart = ctx.saved_tensors
        by_u = by_value.new_empty(len(x), 1, x.shape[2])
        for part, step in _steps(x, counterpart):
            torch.bmm(by_value[part].unsqueeze(1), x[part], out=by_u[part])
            by_u[part].baddbmm_(by_along[part].unsqueeze(1), step)
        return by_u.squeeze(1), None, None


def _steps(x: Tensor, counterpart: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yields slices of ends and their regions minus the counterparts, in one buffer that is used again."""
    flat, buffer = x.reshape(-1, x.shape[2]), None
    for part in _pieces(x):
        rows = counterpart[part].reshape(-1)
        buffer = _buffer(buffer, len(rows), flat)
        torch.index_select(flat, 0, rows.clamp_min(0), out=buffer)
        buffer.index_fill_(0, _where(rows < 0), 0)
        yield part, torch.sub(x[part], buffer.view_as(x[part]), out=buffer.view_as(x[part]))


def _where(chosen: Tensor) -> Tensor:
    """Returns the indices of True: filling rows by index is several times faster than by a mask."""
    return chosen.reshape(-1).nonzero().squeeze(1)


def _buffer(old: Tensor | None, rows: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Returns (rows, columns of ``like``) of uninitialised memory, the old one where it is large enough."""
    return like.new_empty(rows, like.shape[1], dtype=dtype) if old is None or len(old) < rows else old[:rows]


class _Scores(torch.autograd.Function):
    """``p_k . (z_k - z_l)``, ``p_k . wu`` and ``p_k^T M p_k`` for p = slope * signal and a symmetric M.

    It takes two large products, where plain autograd needs three for the last alone. The rest is bound by memory, so
    it is done in pieces that stay in a core's cache. Products run in the type that the forward pass ran them in.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        signal: Tensor,
        wu: Tensor,
        gram: Tensor,
        slope: Tensor,
        bias: Tensor,
        counterpart: Tensor,
        moves: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        hidden, exact = z.shape[-1], signal.dtype
        flat = z.reshape(-1, hidden)
        image = torch.empty_like(z)
        steps = torch.empty(z.shape, dtype=exact, device=z.device)
        moved, cross, quadratic = (torch.empty(moves.shape, dtype=exact, device=z.device) for _ in range(3))
        p = None
        for part in _pieces(z):
            rows, step = counterpart[part].reshape(-1), steps[part]
            step.view(-1, hidden).copy_(flat.index_select(0, rows.clamp_min(0)))
            step.view(-1, hidden)[_where(rows < 0)] = bias.to(exact)
            torch.sub(z[part], step, out=step)
            step.view(-1, hidden).index_fill_(0, _where(~moves[part]), 0)
            p = _buffer(p, len(rows), flat, exact)
            torch.mul(slope[part], signal[part].unsqueeze(1), out=p.view_as(step))
            torch.mm(p.to(z.dtype), gram, out=image[part].view(-1, hidden))
            torch.linalg.vecdot(p.view_as(step), step, out=moved[part])
            torch.bmm(wu[part].unsqueeze(1), p.view_as(step).transpose(1, 2), out=cross[part].unsqueeze(1))
            torch.linalg.vecdot(p.view_as(step), image[part].to(exact), out=quadratic[part])
        ctx.save_for_backward(slope, signal, wu, steps, image, counterpart, moves)
        return moved, cross, quadratic

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_moved: Tensor, grad_cross: Tensor, grad_quadratic: Tensor) -> tuple[Tensor | None, ...]:
        slope, signal, wu, steps, image, counterpart, moves = ctx.saved_tensors
        hidden, half = slope.shape[-1], image.dtype
        grad_moved, grad_quadratic = (grad_moved * moves).unsqueeze(2), grad_quadratic.unsqueeze(2)
        grad_signal, grad_wu, grad_bias = torch.empty_like(signal), torch.empty_like(wu), signal.new_zeros(hidden)
        grad_gram = torch.zeros(hidden, hidden, dtype=half, device=signal.device)
        grad_z = torch.zeros_like(steps)
        p = by_p = None
        for part in _pieces(steps):
            rows, step = counterpart[part].reshape(-1), steps[part]
            p, by_p = _buffer(p, len(rows), signal), _buffer(by_p, len(rows), signal)
            here, by_here = p.view_as(step), by_p.view_as(step)
            torch.mul(slope[part], signal[part].unsqueeze(1), out=here)
            torch.bmm(grad_cross[part].unsqueeze(1), here, out=grad_wu[part].unsqueeze(1))
            # By p: the step it is multiplied with, wu, and 2 M p, which the forward pass has.
            torch.bmm(grad_cross[part].unsqueeze(2), wu[part].unsqueeze(1), out=by_here)
            by_here.addcmul_(step, grad_moved[part]).addcmul_(image[part], 2 * grad_quadratic[part])
            torch.sum(by_here.mul_(slope[part]), 1, out=grad_signal[part])
            torch.mul(here, grad_quadratic[part], out=by_here)
            torch.addmm(grad_gram, p.to(half).T, by_p.to(half), out=grad_gram)
            here.mul_(grad_moved[part])
            grad_z[part].add_(here)
            # By the counterpart's z; where there is none, the step is z_k - b.
            known = rows >= 0
            taken = _where(known)
            back = p if len(taken) == len(p) else p[taken]
            grad_z.view(-1, hidden).index_add_(0, rows[taken], back, alpha=-1)
            if len(taken) < len(p):
                grad_bias -= p[~known].sum(0)
        return grad_z.to(half), grad_signal, grad_wu, grad_gram, None, grad_bias, None, None


def _pieces(x: Tensor) -> list[slice]:
    """Slices of ends that fit a cache; on a GPU, where each call costs, all at once."""
    ends = len(x) if x.device.type != "cpu" else max(1, _PIECE // max(1, x[0].numel()))
    return [slice(start, start + ends) for start in range(0, len(x), max(1, ends))]
