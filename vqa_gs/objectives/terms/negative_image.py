"""Each question asked once more of another image of the batch, where its own answers count as wrong.

``random_image`` is the regulariser that Teney et al. (NeurIPS 2020) offer as a control that needs no pairs, with the
warning that a part of what it gains on VQA-CP comes from inverting priors: ``sum_a y_a sigmoid(z_a)``. An image is
never its question's own. Where questions share images, those of one image meet another one together.

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
        """Averages over the ordinary rows; each gets the image a random number of places on, or any."""
        scale, rows, seen = self.settings.scale(outputs.batch.epoch), outputs.ordinary, outputs.seen
        if not scale or len(outputs.logits[rows]) < 2:
            return self.nothing(outputs)
        assert outputs.again is not None and seen is not None  # noqa: PT018
        regions, mask = seen.regions[rows], seen.mask[rows]  # the images of pair ends stand in front, as their rows do
        count = len(regions)
        if count < 2:
            return self.nothing(outputs)
        # The batch's generator was seeded on the CPU and on the GPU alike; what the CPU draws costs no wait.
        if self.settings.kind == "random_image":
            shift = int(torch.randint(1, count, ()))
            regions, mask = regions.roll(shift, 0), mask.roll(shift, 0)
        else:
            order = torch.randperm(count).to(regions.device)
            regions, mask = regions[order], mask[order]
        logits = outputs.again(rows, regions, mask, *([] if seen.sharing is None else [seen.sharing])).logits
        score = answer_scores(logits, outputs.targets[rows], self.settings.kind)
        report = reported(negative_image_score=(score, torch.ones_like(score)))
        return ObjectiveOutput(score.sum() / outputs.ordinary_rows, **report, scale=scale)
