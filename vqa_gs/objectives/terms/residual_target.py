"""Targets without what the answer prior of the question type says already: GGE-D (Han et al., ICCV 2021).

With the prior b of the question type, all terms that fit targets see ``y' = 2 y sigmoid(-2 y b)`` in the place of the
soft targets y (``published``), or ``clamp(y - b, 0, 1)`` (``difference``), which the authors' later note prefers; see
`residual_targets`. A frequent answer to a type counts for less: at b = 1 the published target of 1 is 0.238, and 0 by
difference. The decision that gradient supervision turns stays that of the answers given. The model answers alone at
test time.

Half the effect at ``weight: 0.5``: targets are ``y + weight * (y' - y)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import PRIOR, Objective, ObjectiveOutput, Outputs, TrainingStatistics, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Output
from vqa_gs.objectives.losses import residual_targets
from vqa_gs.objectives.settings.residual_target import ResidualTargetSettings


@OBJECTIVES.register("residual_target")
class ResidualTarget(Objective):
    """Rewrites the targets, and has no loss of its own; it reports what is left of a row's targets."""

    Settings = ResidualTargetSettings
    settings: ResidualTargetSettings
    logged = ("residual_target",)
    prior: Tensor

    def __init__(self, settings: ResidualTargetSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        assert statistics.answer_prior is not None
        self.register_buffer("prior", statistics.answer_prior())

    @classmethod
    def requirements(cls, settings: ResidualTargetSettings) -> frozenset[str]:
        """The prior of the question type."""
        return frozenset({PRIOR})

    def rewrite(self, outputs: Outputs) -> Tensor:
        """Returns the targets without the prior."""
        share = self.settings.weight * self.settings.scale(outputs.batch.epoch)
        if not share:
            return outputs.targets
        prior = self.prior[outputs.batch.question_type]
        form: Output = "sigmoid" if self.settings.residual == "published" else "softmax"
        return outputs.targets.lerp(residual_targets(form, outputs.targets, prior), share)

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Reports the sum of each row's targets."""
        if not self.settings.scale(outputs.batch.epoch):
            return self.nothing(outputs)
        left = outputs.targets.sum(1)
        report = reported(residual_target=(left, torch.ones_like(left)))
        return ObjectiveOutput(outputs.logits.new_zeros(()), **report)
