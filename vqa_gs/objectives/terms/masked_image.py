"""Images without the regions that their answer is about, where no answer is right: AttReg's regulariser.

AttReg (Liu et al., TOMM 2022) masks the key objects of an image that the model ignored, and trains on what is left
with an empty set of answers, the answer loss of ``(z(masked), 0)``. Its authors name objects by the words of question
and answer; here the key regions are those on which the two ends of a pair differ. On its own data this gained as much
as gradient supervision did in its paper, and 7 points more on top of LMH: a control that no result on pairs goes
without.

``cosine`` adds gradient supervision along the same masking, ``1 - cos(d f / d x, x - masked x)``, f the logit of the
example's own answer: the masked image has none, so there is no other. Its controls are masks that know nothing:
``random``, as many regions drawn from the image, and ``complement``, all regions but the key ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import (
    ANOTHER_PASS,
    ATTENTION,
    PAIRS,
    Objective,
    ObjectiveOutput,
    Outputs,
    PairEnds,
    direction_of,
    gradient_by,
    reported,
)
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.decision import cosine, end_decision
from vqa_gs.objectives.differing import differing
from vqa_gs.objectives.losses import answer_loss
from vqa_gs.objectives.settings.masked_image import MaskedImageSettings


@torch.no_grad()
def drawn(there: Tensor, counts: Tensor) -> Tensor:
    """Draws of each row of ``there: (n, regions) bool`` so many as ``counts: (n,)`` says: (n, regions) bool."""
    order = torch.rand(there.shape, device=there.device).masked_fill(~there, 2.0).argsort(1).argsort(1)
    return there & (order < counts.unsqueeze(1))


@OBJECTIVES.register("masked_image")
class MaskedImage(Objective):
    """``empty * answer_loss(z(masked), 0) + cosine * (1 - cos)``, averaged over pair ends."""

    Settings = MaskedImageSettings
    settings: MaskedImageSettings
    logged = ("masked_image_loss", "masked_image_cosine")

    @classmethod
    def requirements(cls, settings: MaskedImageSettings) -> frozenset[str]:
        """The image is seen once more; the cosine needs the gradient, ``ignored`` the attention."""
        required = {PAIRS, direction_of("regions")}
        required |= {ANOTHER_PASS} if settings.empty else set()
        required |= {ATTENTION} if settings.ignored else set()
        return frozenset(required | ({gradient_by("regions")} if settings.cosine else set()))

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages ``pair weight * loss``; ends of which nothing is masked count as 0."""
        scale, ends, settings = self.settings.scale(outputs.batch.epoch), outputs.ends, self.settings
        if not scale or ends is None:
            return self.nothing(outputs)
        assert outputs.seen is not None
        rows = slice(len(ends.labels))
        regions, there = outputs.seen.of_rows(rows)
        masked = self._masked(ends, there, outputs.model[0].attention)
        counted = masked.any(1).to(ends.logits.dtype)
        total, report = outputs.logits.new_zeros(()), dict.fromkeys(self.logged, (counted * 0, counted * 0))
        if settings.empty:
            assert outputs.again is not None
            hidden = regions.masked_fill(masked.unsqueeze(2), 0)
            logits = outputs.again(rows, hidden, there & ~masked).logits
            loss = answer_loss(logits, torch.zeros_like(logits))
            total = total + settings.empty * (loss * counted * ends.weight).sum()
            report["masked_image_loss"] = loss, counted
        if settings.cosine:
            score, valid = end_decision(ends, "true")
            cos, moves = cosine(ends.gradient(score, "regions", "true"), regions * masked.unsqueeze(2))
            judged = counted * (valid & moves)
            total = total + settings.cosine * ((1 - cos) * judged * ends.weight).sum()
            report["masked_image_cosine"] = cos, judged
        return ObjectiveOutput(total / outputs.batch.end_rows, **reported(**report), scale=scale)

    def _masked(self, ends: PairEnds, there: Tensor, attention: Tensor | None) -> Tensor:
        """Returns which regions are masked, (2P, regions) bool."""
        settings = self.settings
        key = differing(ends.directions["regions"], settings.most) & there
        if settings.ignored:
            assert attention is not None
            seen = attention.detach().topk(min(settings.ignored, attention.shape[1]), dim=1).indices
            key = key.scatter(1, seen, False)
        if settings.mask == "random":
            return drawn(there, key.sum(1))
        # An end without key regions has no complement: the pair says nothing of it.
        return there & ~key & key.any(1, keepdim=True) if settings.mask == "complement" else key
