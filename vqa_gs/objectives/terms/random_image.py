"""The random-image regulariser (RandImg: Teney et al., NeurIPS 2020): the right answer is wrong for another image.

Each question is asked once more with the image of another question of the batch, and the score of its own answers is
pushed down. The paper offers it as a control that needs no pairs, and warns that a part of what it gains on VQA-CP
comes from inverting priors. What is taken from it: the image is drawn from the same batch, the penalty is the
predicted score (sigmoid) of the ground-truth answers, weighted by their soft targets, and it is added to the loss
with one weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vqa_gs.contracts import ANOTHER_PASS, Objective, ObjectiveOutput, Outputs, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled


@dataclass(frozen=True)
class RandomImageSettings(Scheduled):
    """Settings of the random-image regulariser."""


def answer_scores(logits: Tensor, targets: Tensor) -> Tensor:
    """The score a row gives to its own answers, ``sum_c targets_c sigmoid(logits_c)``.

    Args:
        logits: (n, answers) float.
        targets: (n, answers) float in [0, 1].

    Returns:
        (n,).
    """
    return (targets * torch.sigmoid(logits)).sum(dim=1)


@OBJECTIVES.register("random_image")
class RandomImage(Objective):
    """`answer_scores` of ordinary questions asked of other images, averaged over them."""

    Settings = RandomImageSettings
    settings: RandomImageSettings
    logged = ("random_image_score",)

    @classmethod
    def requirements(cls, settings: RandomImageSettings) -> frozenset[str]:
        """The question is asked once more."""
        return frozenset({ANOTHER_PASS})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over the ordinary rows; each gets the image of the row a random number of places on."""
        scale, rows = self.settings.scale(outputs.batch.epoch), outputs.ordinary
        count = len(outputs.logits[rows])
        if not scale or count < 2:
            return self.nothing(outputs)
        assert outputs.again is not None and outputs.regions is not None and outputs.mask is not None  # noqa: PT018
        # The batch's generator was seeded on the CPU and on the GPU alike; a number from the CPU costs no wait.
        shift = int(torch.randint(1, count, ()))
        regions, mask = outputs.regions[rows].roll(shift, 0), outputs.mask[rows].roll(shift, 0)
        logits = outputs.again(rows, regions, mask).logits
        score = answer_scores(logits, outputs.targets[rows])
        report = reported(random_image_score=(score, torch.ones_like(score)))
        return ObjectiveOutput(score.sum() / outputs.ordinary_rows, **report, scale=scale)
