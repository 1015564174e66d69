"""A branch beside the model that answers from the question alone, and takes what it can from the model's loss.

The branch is a network over the question vector, through which no gradient reaches the question encoder. Its answers
are ``q``, trained by a loss of their own, ``L(q, y)``, and it changes the loss of the model's logits z:

===========  ======================================================  =================================================
``rubi``     ``L(z sigmoid(m), y)``; m are the branch's states,      RUBi, Cadene et al., NeurIPS 2019
             ``q = C m``
``lpf``      ``(1 - p)^gamma L(z, y)``; p is what softmax(q) gives   LPF, Liang et al., SIGIR 2021
             to the right answer
``gge``      ``L(z, y')``, y' what q leaves of the targets           GGE-Q, Han et al., ICCV 2021; `residual_targets`
``cf_vqa``   ``L(h(z, m), y)`` and the cross-entropy of              CF-VQA, Niu et al., CVPR 2021
             ``h(c, m)`` against it; c is one learned number
===========  ======================================================  =================================================

``h = log sigmoid(u)`` with ``u = z + m`` (``sum``) or ``u = log sigmoid(z) + log sigmoid(m)`` (``harmonic``): the
published ``log(x) - log1p(x)``, x the product of sigmoids, is just that. Its sigmoid form is the answer loss of u.
The last cross-entropy trains c and nothing else.

At test time the branch is taken away: answers are those of z. Only CF-VQA keeps it, as what to subtract: answers are
those of ``h(z, m) - h(c, m)``, the total indirect effect; the model's own logits are still what other terms see.

As in the authors' codes: RUBi's m is trained through the mask as well as through q; LPF's weight and GGE's targets
let gradient into the branch. Otherwise: these codes draw one answer for each question, here targets stay soft (p is the
mean over the shares of answers), and the sigmoid form is that of GGE's port to UpDn. CF-VQA's second branch, from the
image alone, is left out: its authors' `is_va: False`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqa_gs.common.checks import at_least
from vqa_gs.contracts import QUESTION, ModelOutput, Objective, ObjectiveOutput, Outputs, TrainingStatistics, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import Output, loss_of, precise, residual_targets, share_of_answers
from vqa_gs.objectives.terms.answer import AnswerSettings, row_weights

Fusion = Literal["sum", "harmonic"]


@dataclass(frozen=True)
class QuestionBranchSettings(AnswerSettings):
    """Settings of the question branch, whose term stands in the place of the answer loss.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off and leaves the answer loss.
        kind: what the branch does: ``rubi``, ``lpf``, ``gge`` or ``cf_vqa``.
        branch_weight: weight of the branch's own loss.
        hidden: width of the branch's two hidden layers.
        gamma: for ``lpf``; 0 is the plain loss.
        fusion: for ``cf_vqa``: ``sum`` or ``harmonic``.
        start_epoch: before it the model's loss is the plain one; the branch learns from the start.
        output: answers as independent decisions (``sigmoid``) or one choice (``softmax``).
    """

    weight: float = 0.0
    kind: Literal["rubi", "lpf", "gge", "cf_vqa"] = "rubi"
    branch_weight: float = 1.0
    hidden: int = 1024
    gamma: float = 5.0
    fusion: Fusion = "sum"
    start_epoch: float = 0.0
    output: Output = "sigmoid"

    def __post_init__(self) -> None:
        at_least(self, "objectives.question_branch", 0, "branch_weight", "gamma", "start_epoch")
        at_least(self, "objectives.question_branch", 1, "hidden")


def fused(fusion: Fusion, *logits: Tensor) -> Tensor:
    """CF-VQA's u: logits of what all of some branches say, shaped as they are; ``h`` is its log-sigmoid."""
    parts = torch.stack(logits)
    return (parts if fusion == "sum" else functional.logsigmoid(parts)).sum(0)


def focal_weight(branch: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """LPF's weight ``(1 - p)^gamma`` of each row (n,); 1 where a row has no answer.

    Args:
        branch: (n, answers), the branch's logits; gradient flows into them.
        targets: (n, answers), soft targets.
        gamma: how much less counts what the branch knows.
    """
    known = (torch.softmax(branch, 1) * share_of_answers(targets)).sum(1)
    # At 1 the power of less than 1 has no derivative.
    return (1 - known).clamp_min(1e-7) ** gamma


@OBJECTIVES.register("question_branch")
class QuestionBranch(Objective):
    """The answer loss as a branch over the question vector changes it, and the branch's own."""

    Settings = QuestionBranchSettings
    settings: QuestionBranchSettings
    logged = ("question_branch_loss", "question_loss")
    replaces = frozenset({"answer"})

    def __init__(self, settings: QuestionBranchSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        answers, hidden = len(statistics.answers), settings.hidden
        widths = statistics.sizes["question"], hidden, hidden, answers
        layers = [nn.Linear(*sizes) for sizes in pairwise(widths)]
        self.states = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.classify = nn.Linear(answers, answers)
        if settings.kind == "cf_vqa":
            self.nothing_seen = nn.Parameter(torch.zeros(()))

    @classmethod
    def requirements(cls, settings: QuestionBranchSettings) -> frozenset[str]:
        """The branch sees the question vector."""
        return frozenset({QUESTION})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over all rows, pair ends weighted by ``pair_rows``."""
        settings, weight = self.settings, row_weights(outputs, self.settings.pair_rows)
        states, branch = self._branch(outputs.of_rows("question"))
        own = loss_of(settings.output, branch, outputs.targets)
        if outputs.batch.epoch < settings.start_epoch:
            changed = loss_of(settings.output, outputs.logits, outputs.targets)
        else:
            changed = self._changed(outputs.logits, states, branch, outputs.targets)
        loss = changed + settings.branch_weight * own
        if settings.kind == "cf_vqa":
            loss = loss + self._towards_the_fact(outputs.logits.detach(), states.detach())
        report = reported(question_branch_loss=(changed, weight), question_loss=(own, weight))
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **report)

    def at_test(self, out: ModelOutput, question_type: Tensor) -> Tensor:
        """CF-VQA's total indirect effect; all other kinds are gone at test time."""
        if self.settings.kind != "cf_vqa":
            return out.logits
        assert out.question is not None
        states = self._branch(out.question)[0]
        with_image, without = (fused(self.settings.fusion, z, states) for z in (out.logits, self._unseen(states)))
        return functional.logsigmoid(with_image) - functional.logsigmoid(without)

    def _branch(self, question: Tensor) -> tuple[Tensor, Tensor]:
        """Returns states and answers (n, answers) of question vectors, of which none gets a gradient."""
        states = self.states(question.detach())
        return precise(states), precise(self.classify(states))

    def _changed(self, logits: Tensor, states: Tensor, branch: Tensor, targets: Tensor) -> Tensor:
        kind, output = self.settings.kind, self.settings.output
        if kind == "lpf":
            return focal_weight(branch, targets, self.settings.gamma) * loss_of(output, logits, targets)
        if kind == "gge":
            bias = branch if output == "sigmoid" else torch.softmax(branch, 1)
            return loss_of(output, logits, residual_targets(output, targets, bias))
        if kind == "rubi":
            return loss_of(output, logits * torch.sigmoid(states), targets)
        return loss_of(output, self._outputs(logits, states), targets)

    def _outputs(self, logits: Tensor, states: Tensor) -> Tensor:
        """CF-VQA's logits as the loss takes them: u of independent decisions, h of one choice."""
        u = fused(self.settings.fusion, logits, states)
        return u if self.settings.output == "sigmoid" else functional.logsigmoid(u)

    def _unseen(self, states: Tensor) -> Tensor:
        return self.nothing_seen.expand_as(states)

    def _towards_the_fact(self, logits: Tensor, states: Tensor) -> Tensor:
        """The cross-entropy (n,) of what is said without the model against what is said with it, both constants."""
        fact = self._outputs(logits, states)
        shares = torch.sigmoid(fact) if self.settings.output == "sigmoid" else torch.softmax(fact, 1)
        return loss_of(self.settings.output, self._outputs(self._unseen(states), states), shares)
