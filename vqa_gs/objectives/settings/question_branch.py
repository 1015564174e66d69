"""Settings of the question branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.common.checks import at_least
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Output
from vqa_gs.objectives.settings.answer import AnswerSettings

Fusion = Literal["sum", "harmonic"]


@OBJECTIVES.settings("question_branch", "vqa_gs.objectives.terms.question_branch")
@dataclass(frozen=True)
class QuestionBranchSettings(AnswerSettings):
    """Settings of the question branch, whose term stands in the place of the answer loss.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off and leaves the answer loss.
        kind: what the branch does: ``rubi``, ``lpf``, ``gge``, ``gge_dq`` or ``cf_vqa``.
        branch_weight: weight of the branch's own loss.
        hidden: width of the branch's two hidden layers.
        gamma: for ``lpf``; 0 is the plain loss.
        fusion: for ``cf_vqa``: ``sum`` or ``harmonic``.
        image_branch: for ``cf_vqa``: whether a branch over the image stands beside that over the question.
        start_epoch: before it the model's loss is the plain one; the branch learns from the start.
        output: answers as independent decisions (``sigmoid``) or one choice (``softmax``).
    """

    weight: float = 0.0
    kind: Literal["rubi", "lpf", "gge", "gge_dq", "cf_vqa"] = "rubi"
    branch_weight: float = 1.0
    hidden: int = 1024
    gamma: float = 5.0
    fusion: Fusion = "sum"
    image_branch: bool = True
    start_epoch: float = 0.0
    output: Output = "sigmoid"

    def __post_init__(self) -> None:
        at_least(self, "objectives.question_branch", 0, "branch_weight", "gamma", "start_epoch")
        at_least(self, "objectives.question_branch", 1, "hidden")
