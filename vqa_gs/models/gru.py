"""The last state of a GRU over sentences with padding in front, without computing the padding over and over.

Questions have 6 words on average and are padded to 14. The states over leading padding are the same for every row
(the input is zero), so one row stands for all of them, and a sentence joins where its words begin. The weights'
gradients are one product over all steps instead of one a step. The numbers are those of `torch.nn.GRU`.

It is for the CPU; cuDNN has its own ways. It has a first derivative only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Layout(NamedTuple):
    """Where the rows of each step lie in one tall matrix: the sentences that have begun, then the padding's row."""

    order: Tensor  # (batch,) sentences by where they begin, the longest first
    word: Tensor  # (total,) index into the (batch * length) words, of each row of the tall matrix; -1 for padding
    sizes: list[int]  # rows of each step


def _layout(first: Tensor, length: int) -> _Layout:
    """Lays out sentences that begin at ``first: (batch,) int64``."""
    first = first.clamp_max(length - 1)  # an empty one ends with a word of padding
    order = torch.argsort(first, stable=True)
    begun = torch.searchsorted(first[order].contiguous(), torch.arange(length), right=True).tolist()
    words = [torch.cat([order[:rows] * length + step, torch.tensor([-1])]) for step, rows in enumerate(begun)]
    return _Layout(order, torch.cat(words), [rows + 1 for rows in begun])


class _LastState(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, words: Tensor, w_input: Tensor, w_hidden: Tensor, b_input: Tensor, b_hidden: Tensor, layout: _Layout
    ) -> Tensor:
        size = w_hidden.shape[1]
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else words.dtype
        w_input, w_hidden = w_input.to(kind), w_hidden.to(kind)
        flat = words.reshape(-1, words.shape[-1]).to(kind)
        x = flat.index_select(0, layout.word.clamp_min(0)).mul_((layout.word >= 0).unsqueeze(1))
        gates = (x @ w_input.T).to(words.dtype).add_(b_input)
        total = len(x)
        # The state each row starts its step from, and what the new state takes of it: kept for the derivative alone.
        kept = any(ctx.needs_input_grad)
        before = words.new_empty(total if kept else 0, size)
        hidden_n = words.new_empty(total if kept else layout.sizes[-1], size)
        state = words.new_zeros(layout.sizes[0], size)
        at = 0
        for step, rows in enumerate(layout.sizes):
            here = slice(at, at + rows)
            if kept:
                before[here] = state
            hidden = torch.addmm(b_hidden.to(kind), state.to(kind), w_hidden.T).to(words.dtype)
            gate, own = gates[here], hidden_n[here if kept else slice(rows)]
            own.copy_(hidden[:, 2 * size :])
            both = gate[:, : 2 * size].add_(hidden[:, : 2 * size]).sigmoid_()
            new = gate[:, 2 * size :].addcmul_(both[:, :size], own).tanh_()
            state = torch.lerp(new, state, both[:, size:])
            at += rows
            if step + 1 < len(layout.sizes):
                joining = layout.sizes[step + 1] - rows
                state = torch.cat([state, state[-1:].expand(joining, -1)])
        if kept:
            ctx.save_for_backward(x, w_input, w_hidden, gates, before, hidden_n)
        ctx.layout, ctx.shape, ctx.dtype = layout, words.shape, words.dtype
        return torch.empty_like(state[:-1]).index_copy_(0, layout.order, state[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_input, w_hidden, gates, before, hidden_n = ctx.saved_tensors
        layout, size, kind = ctx.layout, w_hidden.shape[1], w_hidden.dtype
        by_hidden = gates.new_empty(len(x), 3 * size)  # by h W_hidden^T + b_hidden
        by_input_n = gates.new_empty(len(x), size)  # where it differs: by the input's part of the new state
        grad = torch.cat([grad.index_select(0, layout.order), grad.new_zeros(1, size)])
        at = len(x)
        for step in range(len(layout.sizes) - 1, -1, -1):
            rows = layout.sizes[step]
            here, at = slice(at - rows, at), at - rows
            if len(grad) > rows:  # sentences that joined after this step came from the padding's row
                joined = grad[rows - 1 :].sum(0)
                grad = grad[:rows]
                grad[-1] = joined
            reset, update, new = gates[here].chunk(3, dim=1)
            out_r, out_z, out_n = by_hidden[here].chunk(3, dim=1)
            # h' = new + update * (h - new)
            torch.mul(grad, before[here] - new, out=out_z)
            out_z.mul_(update).mul_(1 - update)
            by_new = by_input_n[here]
            torch.mul(grad, 1 - update, out=by_new)
            by_new.mul_(1 - new * new)
            torch.mul(by_new, hidden_n[here], out=out_r)
            out_r.mul_(reset).mul_(1 - reset)
            torch.mul(by_new, reset, out=out_n)
            if step:
                grad = (by_hidden[here].to(kind) @ w_hidden).to(grad.dtype).addcmul_(grad, update)
        tall = by_hidden.to(kind)
        grad_hidden, grad_b_hidden = tall.T @ before.to(kind), by_hidden.sum(0)
        by_hidden[:, 2 * size :] = by_input_n
        tall = by_hidden.to(kind)
        grad_input, grad_b_input = tall.T @ x, by_hidden.sum(0)
        grad_words = None
        if ctx.needs_input_grad[0]:
            there = layout.word >= 0
            grad_words = gates.new_zeros(ctx.shape[0] * ctx.shape[1], x.shape[1])
            grad_words.index_copy_(0, layout.word[there], (tall @ w_input).to(gates.dtype)[there])
            grad_words = grad_words.view(ctx.shape)
        full = ctx.dtype
        return grad_words, grad_input.to(full), grad_hidden.to(full), grad_b_input, grad_b_hidden, None


def last_state(gru: nn.GRU, words: Tensor, first: Tensor) -> Tensor:
    """Returns a GRU's state after the last word, (batch, hidden).

    Args:
        gru: one layer, one direction, ``batch_first``.
        words: (batch, length, dim) on the CPU, zero before ``first``.
        first: (batch,) int64, where each sentence begins; ``length`` where it is empty.
    """
    weights = gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0
    return _LastState.apply(words, *weights, _layout(first, words.shape[1]))
