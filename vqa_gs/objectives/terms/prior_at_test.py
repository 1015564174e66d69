"""The answer prior of the question type, given back at test time (logit adjustment, Menon et al., ICLR 2021).

A model trained beside an expert (`expert`) answers without the prior, and pays in-domain for what it gains out of
distribution. At test time it may be given as much of the prior as one wants: ::

    z + weight log((1 - smooth) b / sum(b) + smooth / answers)

with b the mean soft target of each answer over training questions of the type. The type is told by the question's
first words, as training questions have it, see `vqa_gs.data.question_types`; a question that begins as none does gets
the mean of all types. The weight can be chosen in-domain: as much as it takes to answer there as well as the plain
model does. The smoothing keeps answers that training never shows with a type within reach.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import PRIOR, ModelOutput, Objective, ObjectiveOutput, Outputs, TrainingStatistics
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.settings.prior_at_test import PriorAtTestSettings


def log_prior(prior: Tensor, smooth: float) -> Tensor:
    """Returns the smoothed log prior of each type, and in the last row that of all types together.

    Args:
        prior: (types, answers), the mean soft target of each answer by type.
        smooth: the share that is spread evenly.

    Returns:
        (types + 1, answers), each row the logarithm of shares that sum to 1.

    Example:
        >>> import torch
        >>> log_prior(torch.tensor([[0.9, 0.0]]), 0.2).exp()
        tensor([[0.9000, 0.1000],
                [0.9000, 0.1000]])
    """
    every = torch.cat([prior, prior.mean(0, keepdim=True)])
    total = every.sum(1, keepdim=True)
    even = 1 / prior.shape[1]
    shares = torch.where(total > 0, every / total.clamp_min(torch.finfo(every.dtype).tiny), even)
    return torch.log((1 - smooth) * shares + smooth * even)


@OBJECTIVES.register("prior_at_test")
class PriorAtTest(Objective):
    """No loss at all; a say in the logits that answers are chosen by."""

    Settings = PriorAtTestSettings
    settings: PriorAtTestSettings
    added: Tensor

    def __init__(self, settings: PriorAtTestSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        if statistics.answer_prior is None:  # of a finished run, which has it saved
            added = torch.zeros(len(statistics.question_types) + 1, len(statistics.answers))
        else:
            added = log_prior(statistics.answer_prior(), settings.smooth)
        self.register_buffer("added", added)

    @classmethod
    def requirements(cls, settings: PriorAtTestSettings) -> frozenset[str]:
        """The prior of the question type."""
        return frozenset({PRIOR})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Adds nothing."""
        return self.nothing(outputs)

    def at_test(self, out: ModelOutput, question_type: Tensor) -> Tensor:
        """Returns the logits with the prior of each question's type."""
        return out.logits + self.settings.weight * self.added[question_type]
