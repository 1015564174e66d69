"""Settings of the prior at test time."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES


@OBJECTIVES.settings("prior_at_test", "vqa_gs.objectives.terms.prior_at_test")
@dataclass(frozen=True)
class PriorAtTestSettings:
    """Settings of the prior at test time, which adds nothing to the loss.

    Attributes:
        weight: how much of the log prior is added to the logits; 0 switches it off, below 0 the prior is taken away.
        smooth: the share of the prior that is spread evenly over all answers, above 0 and up to 1.
    """

    weight: float = 0.0
    smooth: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.smooth <= 1:
            raise UsageError(f"objectives.prior_at_test.smooth must be above 0 and at most 1, got {self.smooth}")
