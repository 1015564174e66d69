"""A branch beside the model that answers from the question alone, and takes what it can from the model's loss.

The branch is a network over the question vector, through which no gradient reaches the question encoder. Its answers
are ``q``, trained by a loss of their own, ``L(q, y)``, and it changes the loss of the model's logits z:

===========  ======================================================  =================================================
``rubi``     ``L(z sigmoid(m), y)``; m are the branch's states,      RUBi, Cadene et al., NeurIPS 2019
             ``q = C m``
``lpf``      ``(1 - p)^gamma L(z, y)``; p is what softmax(q) gives   LPF, Liang et al., SIGIR 2021
             to the right answer
``gge``      ``L(z, y')``, y' what q leaves of the targets           GGE-Q, Han et al., ICCV 2021; `residual_targets`
``gge_dq``   the same with what the prior b of the question type     GGE-DQ of the same, both steps together (its
             and ``sigmoid(q)`` leave; q itself learns what b        authors' `tog`)
             leaves
``cf_vqa``   ``L(h(z, m, v), y)`` and the cross-entropy of           CF-VQA, Niu et al., CVPR 2021
             ``h(c, m, c)`` against it; c is one learned number
===========  ======================================================  =================================================

v are the states of a second branch, over the mean of the image's regions, with a loss of its own too; without
``image_branch`` there is none (its authors' `is_va: False`). ``h = log sigmoid(u)`` with ``u = z + m + v`` (``sum``) or
u the sum of their log-sigmoids (``harmonic``): the published ``log(x) - log1p(x)``, x the product of sigmoids, is just
that. Its sigmoid form is the answer loss of u. The last cross-entropy trains c and nothing else.

At test time the branch is taken away: answers are those of z. Only CF-VQA keeps it, as what to subtract: answers are
those of ``h(z, m, v) - h(c, m, c)``, the total indirect effect; the model's own logits are still what other terms see.

As in the authors' codes: RUBi's m is trained through the mask as well as through q; LPF's weight and GGE's targets
let gradient into the branch. Otherwise: these codes draw one answer for each question, here targets stay soft (p is the
mean over the shares of answers), and the sigmoid form is that of GGE's port to UpDn.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqa_gs.contracts import (
    IMAGE,
    PRIOR,
    QUESTION,
    ModelOutput,
    Objective,
    ObjectiveOutput,
    Outputs,
    TrainingStatistics,
    reported,
)
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import loss_of, precise, residual_targets, share_of_answers
from vqa_gs.objectives.settings.question_branch import Fusion, QuestionBranchSettings
from vqa_gs.objectives.terms.answer import row_weights


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


class _Branch(nn.Module):
    """States and answers from one vector, of which none gets a gradient."""

    def __init__(self, width: int, hidden: int, answers: int) -> None:
        super().__init__()
        layers = [nn.Linear(*sizes) for sizes in pairwise((width, hidden, hidden, answers))]
        self.states = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.classify = nn.Linear(answers, answers)

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Returns states and answers, (n, answers) each, of vectors (n, width)."""
        states = self.states(vector.detach())
        return precise(states), precise(self.classify(states))


@OBJECTIVES.register("question_branch")
class QuestionBranch(Objective):
    """The answer loss as a branch over the question vector changes it, and the branch's own."""

    Settings = QuestionBranchSettings
    settings: QuestionBranchSettings
    logged = ("question_branch_loss", "question_loss")
    replaces = frozenset({"answer"})
    prior: Tensor

    def __init__(self, settings: QuestionBranchSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        answers = len(statistics.answers)
        self.question = _Branch(statistics.sizes["question"], settings.hidden, answers)
        self.image: _Branch | None = None
        if settings.kind == "cf_vqa":
            self.nothing_seen = nn.Parameter(torch.zeros(()))
            if settings.image_branch:
                self.image = _Branch(statistics.sizes["image"], settings.hidden, answers)
        if settings.kind == "gge_dq" and statistics.answer_prior is not None:  # a finished run needs it no more
            self.register_buffer("prior", statistics.answer_prior(), persistent=False)

    @classmethod
    def requirements(cls, settings: QuestionBranchSettings) -> frozenset[str]:
        """The branch sees the question vector; some kinds the prior, or the image."""
        needs = {QUESTION}
        if settings.kind == "gge_dq":
            needs.add(PRIOR)
        if settings.kind == "cf_vqa" and settings.image_branch:
            needs.add(IMAGE)
        return frozenset(needs)

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over all rows, pair ends weighted by ``pair_rows``."""
        settings, weight = self.settings, row_weights(outputs, self.settings.pair_rows)
        logits, targets = outputs.logits, outputs.targets
        states, branch = self.question(outputs.of_rows("question"))
        seen: list[Tensor] = []
        prior = self.prior[outputs.batch.question_type] if settings.kind == "gge_dq" else None
        own_targets = targets if prior is None else residual_targets(settings.output, targets, prior)
        own = loss_of(settings.output, branch, own_targets)
        if self.image is not None:
            assert outputs.seen is not None
            image_states, image_answers = self.image(outputs.seen.mean())
            seen = [image_states]
            own = own + loss_of(settings.output, image_answers, targets)
        if outputs.batch.epoch < settings.start_epoch:
            changed = loss_of(settings.output, logits, targets)
        elif settings.kind == "cf_vqa":
            changed = loss_of(settings.output, self._outputs(logits, states, *seen), targets)
        else:
            changed = self._changed(logits, states, branch, targets, prior)
        loss = changed + settings.branch_weight * own
        if settings.kind == "cf_vqa":
            fact = self._outputs(logits, states, *seen).detach()
            loss = loss + self._towards_the_fact(fact, states.detach())
        report = reported(question_branch_loss=(changed, weight), question_loss=(own, weight))
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **report)

    def at_test(self, out: ModelOutput, question_type: Tensor) -> Tensor:
        """CF-VQA's total indirect effect; all other kinds are gone at test time."""
        if self.settings.kind != "cf_vqa":
            return out.logits
        assert out.question is not None
        states = self.question(out.question)[0]
        seen = []
        if self.image is not None:
            assert out.image is not None
            seen = [self.image(out.image())[0]]
        with_image = fused(self.settings.fusion, out.logits, states, *seen)
        without = fused(self.settings.fusion, *self._unseen(states))
        return functional.logsigmoid(with_image) - functional.logsigmoid(without)

    def _changed(
        self, logits: Tensor, states: Tensor, branch: Tensor, targets: Tensor, prior: Tensor | None = None
    ) -> Tensor:
        """Returns the loss (n,) of the model, for all kinds but CF-VQA."""
        kind, output = self.settings.kind, self.settings.output
        if kind == "lpf":
            return focal_weight(branch, targets, self.settings.gamma) * loss_of(output, logits, targets)
        if kind == "rubi":
            return loss_of(output, logits * torch.sigmoid(states), targets)
        return loss_of(output, logits, residual_targets(output, targets, self._bias(branch, prior)))

    def _bias(self, branch: Tensor, prior: Tensor | None) -> Tensor:
        """What GGE takes out of the targets; GGE-Q's sigmoid form takes the branch's logits as they are."""
        probabilities = torch.softmax(branch, 1) if self.settings.output == "softmax" else torch.sigmoid(branch)
        if prior is not None:
            return probabilities + prior
        return branch if self.settings.output == "sigmoid" else probabilities

    def _outputs(self, *parts: Tensor) -> Tensor:
        """CF-VQA's logits as the loss takes them: u of independent decisions, h of one choice."""
        u = fused(self.settings.fusion, *parts)
        return u if self.settings.output == "sigmoid" else functional.logsigmoid(u)

    def _unseen(self, states: Tensor) -> list[Tensor]:
        """What is fused where the model sees nothing: the one number, the question's states, the number once more."""
        number = self.nothing_seen.expand_as(states)
        return [number, states] if self.image is None else [number, states, number]

    def _towards_the_fact(self, fact: Tensor, states: Tensor) -> Tensor:
        """The cross-entropy (n,) of what is said without the model against what is said with it, both constants."""
        shares = torch.sigmoid(fact) if self.settings.output == "sigmoid" else torch.softmax(fact, 1)
        return loss_of(self.settings.output, self._outputs(*self._unseen(states)), shares)
