"""The answer loss: binary cross-entropy over soft targets, the usual VQA loss."""

from __future__ import annotations

from torch import Tensor

from vqa_gs.contracts import Objective, ObjectiveOutput, Outputs, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import answer_loss
from vqa_gs.objectives.settings.answer import AnswerSettings


def row_weights(outputs: Outputs, pair_rows: float) -> Tensor:
    """Returns the weight of each row (n,) as an ordinary example, pair ends weighted by ``pair_rows``."""
    weight = outputs.row_weight
    if outputs.ends is not None and pair_rows != 1.0:
        weight = weight.clone()
        weight[: len(outputs.ends.labels)] *= pair_rows
    return weight


@OBJECTIVES.register("answer")
class AnswerLoss(Objective):
    """`answer_loss` averaged over the rows of a batch."""

    Settings = AnswerSettings
    settings: AnswerSettings
    logged = ("answer_loss",)

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over all rows, pair ends weighted by ``pair_rows``."""
        weight = row_weights(outputs, self.settings.pair_rows)
        loss = answer_loss(outputs.logits, outputs.targets)
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **reported(answer_loss=(loss, weight)))
