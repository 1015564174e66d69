"""Orthogonality: the decision's gradient towards zero on the regions that do not differ.

With the direction d on the regions S alone, gradient supervision's cosine is a product,

    cos(g, d) = cos(g_S, d_S) |g_S| / |g|,

of where the gradient points on the regions that differ and how much of it is there at all. This term is the second
factor by itself, ``1 - |g_S|^2 / |g|^2``, so that the two can be weighted apart: use it beside gradient supervision
with ``rest: free``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives._base import OBJECTIVES, Objective, ObjectiveOutput, Step, reported
from vqa_gs.objectives._decision import Variant, end_decision
from vqa_gs.objectives._regions import differing
from vqa_gs.objectives._schedule import Scheduled


@dataclass(frozen=True)
class OrthogonalitySettings(Scheduled):
    """Settings of the orthogonality term.

    Attributes:
        variant: the decision function, as of gradient supervision.
        sparse: how many regions count as different, those that differ most; 0: all that differ.
    """

    variant: Variant = "contrast"
    sparse: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sparse < 0:
            raise UsageError(f"objectives.orthogonality.sparse must not be negative, got {self.sparse}")


def share_elsewhere(gradient: Tensor, chosen: Tensor) -> Tensor:
    """The share of the gradient's square that lies outside of some regions.

    Args:
        gradient: (n, regions, dim).
        chosen: (n, regions) bool, the regions it may lie on.

    Returns:
        (n,) in [0, 1]; 0 for a zero gradient.
    """
    precise = torch.promote_types(gradient.dtype, torch.float32)
    gradient = gradient.to(precise)
    tiny = torch.finfo(precise).tiny
    # The share does not change with scale: brought to a largest number of 1, small squares do not underflow.
    largest = torch.linalg.vector_norm(gradient.detach(), float("inf"), (1, 2), keepdim=True).clamp_min(tiny)
    squares = (gradient / largest).square().sum(2)
    return (squares * ~chosen).sum(1) / squares.sum(1).clamp_min(tiny)


@OBJECTIVES.register("orthogonality")
class Orthogonality(Objective):
    """`share_elsewhere` than the regions that differ, averaged over pair ends."""

    Settings = OrthogonalitySettings
    settings: OrthogonalitySettings
    needs_pairs = True
    logged = ("gradient_elsewhere",)

    def places(self) -> frozenset[str]:
        """Returns the regions."""
        return frozenset({"regions"})

    def forward(self, step: Step) -> ObjectiveOutput:
        """Averages ``pair weight * share``; ends without an answer, or that differ nowhere, count as 0."""
        scale, ends = self.settings.scale(step.epoch), step.ends
        if not scale or ends is None:
            return self.nothing(step)
        variant = self.settings.variant
        score, valid = end_decision(ends, variant)
        chosen = differing(ends.directions["regions"], self.settings.sparse)
        share = share_elsewhere(ends.gradient(score, "regions", variant), chosen)
        counted = (valid & chosen.any(1)).to(share.dtype)
        report = reported(gradient_elsewhere=(share, counted))
        return ObjectiveOutput((share * counted * ends.weight).sum() / step.end_rows, **report, scale=scale)
