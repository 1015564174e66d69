"""Settings of the margins by question type."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.settings.answer import AnswerSettings


@OBJECTIVES.settings("margin", "vqa_gs.objectives.terms.margin")
@dataclass(frozen=True)
class MarginSettings(AnswerSettings):
    """Settings of the margins, whose term stands in the place of the answer loss.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off and leaves the answer loss.
        scale: s, the bias logit of an answer that is the only one to its question type.
        max_entropy: bits at which a question type has no margins any more.
        at_test: how much of the bias logits answers are chosen with at test time; 0 is the published method, 1 the
            ensemble as it was trained, which knows the prior.
    """

    weight: float = 0.0
    scale: float = 32.0
    max_entropy: float = 4.5
    at_test: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.at_test):
            raise UsageError(f"objectives.margin.at_test must be a number, got {self.at_test}")
