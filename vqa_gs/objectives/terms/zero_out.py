"""The zero-out regulariser (Shrestha, Kafle, Kanan, ACL 2020): all answers wrong, on ordinary training images.

It uses no pairs and no annotation, and out of domain gains more than gradient supervision did in its paper. So no
result means anything without it as a control.
"""

from __future__ import annotations

import torch

from vqa_gs.contracts import Objective, ObjectiveOutput, Outputs, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import answer_loss
from vqa_gs.objectives.settings.zero_out import ZeroOutSettings


@OBJECTIVES.register("zero_out")
class ZeroOut(Objective):
    """The answer loss of ordinary questions against an empty set of answers, averaged over them."""

    Settings = ZeroOutSettings
    settings: ZeroOutSettings
    logged = ("zero_out_loss",)

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over the ordinary rows."""
        scale = self.settings.scale(outputs.batch.epoch)
        logits = outputs.logits[outputs.ordinary]
        if not scale or not len(logits):
            return self.nothing(outputs)
        loss = answer_loss(logits, torch.zeros_like(logits))
        report = reported(zero_out_loss=(loss, torch.ones_like(loss)))
        return ObjectiveOutput(loss.sum() / outputs.ordinary_rows, **report, scale=scale)
