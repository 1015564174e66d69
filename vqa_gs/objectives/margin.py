"""The margin of a pair: how far the decision between its two answers changes from one end to the other.

Gradient supervision looks at the decision's slope at the ends. Its aim is this change,

    f(x_i) - f(x_j) = integral over t in [0, 1] of  grad f(x_j + t (x_i - x_j)) . (x_i - x_j)  dt,

which two forward passes give exactly, whatever happens on the way. For two independent logits f is a difference of
log-odds, so the margin is in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives._base import OBJECTIVES, Objective, ObjectiveOutput, Step, reported
from vqa_gs.objectives._schedule import Scheduled


@dataclass(frozen=True)
class MarginSettings(Scheduled):
    """Settings of the margin term.

    Attributes:
        margin: the change of the decision asked for, in nats of log-odds.
    """

    margin: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.margin >= 0:
            raise UsageError(f"objectives.margin.margin must not be negative, got {self.margin}")


def pair_margin(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``f(x_a) - f(x_b)`` of each pair, with f the logit of a's answer minus the logit of b's.

    Args:
        logits: (2P, answers) float, ends a before ends b.
        labels: (2P,) int64, the ends' answers, -1 for none: that part of f is left out then.

    Returns:
        The margin (P,), and (P,) bool, where it says anything: at least one end has an answer, and not both the same.
    """
    a, b = logits.chunk(2)
    label_a, label_b = labels.chunk(2)
    change = a - b
    # a's answer has to lose on the way from a to b, b's answer to gain.
    own = change.gather(1, label_a.clamp_min(0).unsqueeze(1)).squeeze(1) * (label_a >= 0)
    other = change.gather(1, label_b.clamp_min(0).unsqueeze(1)).squeeze(1) * (label_b >= 0)
    return own - other, label_a != label_b


@OBJECTIVES.register("margin")
class Margin(Objective):
    """``softplus(margin - (f(x_a) - f(x_b)))`` averaged over pairs."""

    Settings = MarginSettings
    settings: MarginSettings
    needs_pairs = True
    logged = ("margin_loss", "margin")

    def forward(self, step: Step) -> ObjectiveOutput:
        """Averages ``pair weight * loss``; pairs that say nothing count as 0."""
        scale, ends = self.settings.scale(step.epoch), step.ends
        if not scale or ends is None:
            return self.nothing(step)
        margin, valid = pair_margin(ends.logits, ends.labels)
        loss = functional.softplus(self.settings.margin - margin)
        counted = valid.to(loss.dtype)
        total = (loss * counted * ends.weight[: len(loss)]).sum()
        report = reported(margin_loss=(loss, counted), margin=(margin, counted))
        return ObjectiveOutput(total / (step.end_rows / 2), **report, scale=scale)
