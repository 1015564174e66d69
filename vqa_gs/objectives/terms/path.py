"""Gradient supervision along the whole segment between the ends of a pair, not at its ends alone.

The decision has to change from x_j to x_i, and

    f(x_i) - f(x_j) = integral over t in [0, 1] of  grad f(x_t) . (x_i - x_j)  dt,    x_t = x_j + t (x_i - x_j).

Slopes at the two ends say nothing of what lies between them. This term draws points t on the segment, uniformly and
anew at each step, and turns the gradient there towards the segment: an unbiased estimate of the mean of 1 - cos along
it. Each point costs one more forward pass and one more double backward pass through the head.

A few pairs are soon learnt by heart: the gradient then points along their directions at their ends, and hardly along
those of other pairs. So the points may also lie beside the segment: ``noise`` moves all regions at random, ``mix``
puts other images' regions in the place of regions that are not what the pair is about. The direction stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import (
    ANOTHER_PASS,
    PAIRS,
    Objective,
    ObjectiveOutput,
    Outputs,
    direction_of,
    input_gradient,
)
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.decision import cosine, decision
from vqa_gs.objectives.differing import differing
from vqa_gs.objectives.settings.path import PathSettings


@OBJECTIVES.register("path")
class Path(Objective):
    """The mean of ``1 - cos(grad f(x_t), x_i - x_j)`` over drawn t, averaged over pair ends.

    Each end has its own segment: from its partner to it in its own order of regions, with its own mask, question and
    decision. Regions that are not aligned stay where they are.
    """

    Settings = PathSettings
    settings: PathSettings
    logged = ("path_cosine",)

    @classmethod
    def requirements(cls, settings: PathSettings) -> frozenset[str]:
        """Directions are needed, the ends' own gradients are not."""
        return frozenset({PAIRS, ANOTHER_PASS, direction_of("regions")})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages ``pair weight * (1 - cos)``; ends without an answer, or that differ nowhere, count as 0."""
        scale, ends = self.settings.scale(outputs.batch.epoch), outputs.ends
        if not scale or ends is None:
            return self.nothing(outputs)
        assert outputs.again is not None and outputs.seen is not None  # noqa: PT018
        count, variant = len(ends.labels), self.settings.variant
        direction = ends.directions["regions"]
        regions, mask = outputs.seen.of_rows(slice(count))
        regions = regions.detach()
        total = cosines = counts = torch.zeros((), device=regions.device)
        for stratum in range(self.settings.points):
            drawn = torch.rand(count, 1, 1, device=regions.device, dtype=regions.dtype)
            # How far back from the end towards its partner: 1 - t.
            back = (stratum + drawn) / self.settings.points
            point, along = torch.addcmul(regions, direction, back, value=-1), direction
            if self.settings.mix:
                point, along = _mixed(point, mask, direction, self.settings.mix)
            if self.settings.noise:
                point = point + self.settings.noise * torch.randn_like(point) * mask.unsqueeze(2)
            point.requires_grad_()
            logits = outputs.again(slice(count), point, mask).logits
            score, valid = decision(logits, ends.labels, ends.partner_labels, ends.targets, variant)
            cos, moves = cosine(input_gradient(score, point), along)
            counted = (valid & moves).to(cos.dtype)
            total = total + ((1 - cos) * counted * ends.weight).sum() / self.settings.points
            cosines, counts = cosines + (cos.detach() * counted).sum(), counts + counted.sum()
        return ObjectiveOutput(
            total / outputs.batch.end_rows,
            {"path_cosine": cosines},
            {"path_cosine": counts},
            scale,
        )


def _mixed(regions: Tensor, mask: Tensor, direction: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Replaces a share of the regions (rows, regions, dim) by another row's; returns them and the direction left."""
    donor = torch.randperm(len(regions), device=regions.device)
    swapped = torch.rand(mask.shape, device=regions.device) < share
    swapped &= mask & mask[donor] & ~differing(direction, 1)
    chosen = swapped.unsqueeze(2)
    return torch.where(chosen, regions[donor], regions), direction.masked_fill(chosen, 0)
