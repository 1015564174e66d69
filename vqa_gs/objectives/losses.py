"""Losses of logits against soft targets, and of branches beside the model, that several terms share."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional

from vqa_gs.objectives.choices import Output


def answer_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy summed over the answers.

    The sum is the mean times the number of answers, which is how the UpDn family scales the loss (Teney et al.,
    CVPR 2018, eq. 6).

    Args:
        logits: (batch, answers) float.
        targets: (batch, answers) float in [0, 1].

    Returns:
        (batch,) the loss of each row, in nats.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import torch
        >>> round(answer_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)
        1.3863
    """
    if logits.shape != targets.shape or logits.ndim != 2:
        raise ValueError(
            f"logits and targets must both be (batch, answers), got {tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)


def loss_of(output: Output, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss (n,) of each row, in nats, of logits and soft targets (n, answers).

    ``sigmoid`` is `answer_loss`: one independent decision an answer. ``softmax`` is the cross-entropy of a choice of
    one answer, ``-sum_a y_a log_softmax(z)_a``; a row whose targets do not sum to 1 counts as much as they sum to.
    """
    if output == "sigmoid":
        return answer_loss(logits, targets)
    return -(targets * torch.log_softmax(logits, 1)).sum(1)


def share_of_answers(targets: Tensor) -> Tensor:
    """Soft targets (n, answers) as shares of their row's sum; zeros where a row has no answer."""
    return targets / targets.sum(1, keepdim=True).clamp_min(torch.finfo(targets.dtype).tiny)


def residual_targets(output: Output, targets: Tensor, bias: Tensor) -> Tensor:
    """What of the targets (n, answers) a bias leaves to learn: GGE's pseudo-targets (Han et al., ICCV 2021).

    ``sigmoid``: ``2 y sigmoid(-2 y B)``, as published. The authors' note calls it a wrong derivation: it is the
    gradient of the logistic loss of labels +-1. It is not clamped: a negative B gives up to 2. Gradient flows into B.
    ``softmax``: ``clamp(y - B, 0, 1)``, the right one for probabilities B; no gradient flows into B.
    """
    if output == "sigmoid":
        return 2 * targets * torch.sigmoid(-2 * targets * bias)
    return (targets - bias).clamp(0, 1).detach()


def precise(x: Tensor) -> Tensor:
    """Returns a tensor in float32, or as it is if it is float64: what autocast may have multiplied in bfloat16."""
    return x if x.dtype == torch.float64 else x.float()


def mean_over_processes(value: Tensor) -> Tensor:
    """Returns a constant of this process's rows as the mean over all processes, which have to ask at one time."""
    value = value.detach()
    if distributed.is_available() and distributed.is_initialized():
        value = value.clone()
        distributed.all_reduce(value)
        value /= distributed.get_world_size()
    return value


def entropy(output: Output, logits: Tensor) -> Tensor:
    """The entropy of each row (n,), in nats: of one choice, or the mean over the answers of that of each decision."""
    if output == "softmax":
        shares = torch.log_softmax(logits, 1)
        return -(shares.exp() * shares).sum(1)
    p = torch.sigmoid(logits)
    # -p log p - (1-p) log(1-p), without a logarithm of 0
    return (functional.softplus(logits) - p * logits).mean(1)
