"""Settings of the ensemble with the answer prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Output
from vqa_gs.objectives.settings.answer import AnswerSettings


@OBJECTIVES.settings("expert", "vqa_gs.objectives.terms.expert")
@dataclass(frozen=True)
class ExpertSettings(AnswerSettings):
    """Settings of the ensemble with the answer prior, which stands in the place of the answer loss.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off and leaves the answer loss.
        bias_run: a finished run of the same task, of ``architecture: question_only`` for instance: what it says of a
            training example stands in the place of the prior of the question type.
        mix: how the prior enters: ``reweight``, ``product`` or ``learned``.
        entropy: weight of the expert's entropy, for ``learned``.
        smooth: whether s, which keeps logarithms from 0, is ``learned`` or ``fixed``.
        smooth_logit: s at the start is its sigmoid; -1 is 0.269.
        output: answers as independent decisions (``sigmoid``) or one choice (``softmax``).
    """

    weight: float = 0.0
    bias_run: str | None = None
    mix: Literal["reweight", "product", "learned"] = "learned"
    entropy: float = 0.36
    smooth: Literal["learned", "fixed"] = "learned"
    smooth_logit: float = -1.0
    output: Output = "sigmoid"

    def __post_init__(self) -> None:
        if not 0 <= self.entropy < math.inf:
            raise UsageError(f"objectives.expert.entropy must not be negative, got {self.entropy}")
