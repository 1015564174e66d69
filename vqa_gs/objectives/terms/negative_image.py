"""Each question asked once more of another image of the batch, where its own answers count as wrong.

``random_image`` is the regulariser that Teney et al. (NeurIPS 2020) offer as a control that needs no pairs, with the
warning that a part of what it gains on VQA-CP comes from inverting priors: ``sum_a y_a sigmoid(z_a)``. An image is
never its question's own.

``ssl`` is that of SSL-VQA (Zhu et al., IJCAI 2020): ``softmax(z)_a`` of the best answer a, which its authors weigh by 3
and begin with after 12 of 40 epochs. The images are permuted, so one may meet its own question, as there. Questions
without an answer in the vocabulary cost nothing; in their code the first answer is taken for theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import ANOTHER_PASS, Objective, ObjectiveOutput, Outputs, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.settings.negative_image import Kind, NegativeImageSettings


def answer_scores(logits: Tensor, targets: Tensor, kind: Kind = "random_image") -> Tensor:
    """The score that a row gives to its own answers: their sigmoids by soft target, or the softmax of the best.

    Args:
        logits: (n, answers) float.
        targets: (n, answers) float in [0, 1].
        kind: which score.

    Returns:
        (n,).
    """
    if kind == "random_image":
        return (targets * torch.sigmoid(logits)).sum(dim=1)
    best, answers = targets.max(dim=1, keepdim=True)
    return (torch.softmax(logits, dim=1).gather(1, answers) * (best > 0)).squeeze(1)


@OBJECTIVES.register("negative_image")
class NegativeImage(Objective):
    """`answer_scores` of ordinary questions asked of other images, averaged over them."""

    Settings = NegativeImageSettings
    settings: NegativeImageSettings
    logged = ("negative_image_score",)

    @classmethod
    def requirements(cls, settings: NegativeImageSettings) -> frozenset[str]:
        """The question is asked once more."""
        return frozenset({ANOTHER_PASS})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over the ordinary rows; each gets the image of the row a random number of places on, or of any."""
        scale, rows = self.settings.scale(outputs.batch.epoch), outputs.ordinary
        count = len(outputs.logits[rows])
        if not scale or count < 2:
            return self.nothing(outputs)
        assert outputs.again is not None and outputs.regions is not None and outputs.mask is not None  # noqa: PT018
        regions, mask = outputs.regions[rows], outputs.mask[rows]
        # The batch's generator was seeded on the CPU and on the GPU alike; what the CPU draws costs no wait.
        if self.settings.kind == "random_image":
            shift = int(torch.randint(1, count, ()))
            regions, mask = regions.roll(shift, 0), mask.roll(shift, 0)
        else:
            order = torch.randperm(count).to(regions.device)
            regions, mask = regions[order], mask[order]
        logits = outputs.again(rows, regions, mask).logits
        score = answer_scores(logits, outputs.targets[rows], self.settings.kind)
        report = reported(negative_image_score=(score, torch.ones_like(score)))
        return ObjectiveOutput(score.sum() / outputs.ordinary_rows, **report, scale=scale)
