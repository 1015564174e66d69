"""An ensemble with the answer prior of the question type (Clark, Yatskar, Zettlemoyer, EMNLP 2019), and reweighting.

The prior b (mean soft target of each answer over training questions of the type) is an expert that has seen nothing
but the type. The model is trained beside it and answers alone at test time, so that it need not learn the prior. With
``bias_run`` the expert is a model: b is the probability that a finished run gives to each answer, one that reads the
question alone, or of a premise and a hypothesis the hypothesis alone (as in their tasks of texts).

The sources add log-factors of both outcomes, ``log(b + s)`` and ``log(1 - b + s)``, to those of the model, and
normalise anew. That is the same, to the last bit, as an amount added to the logits: ::

    sigmoid:  z + g delta,  delta = log((b + s) / (1 - b + s))        softmax:  z + g log(b + s)

=================  =====================================================================================
``reweight``       ``sum (1 - b) bce / sum (1 - b)`` over rows and answers; softmax: a row's loss is
                   weighted by ``1 - b`` of its answer
``product``        g = 1, the product of experts, which the paper calls bias product
``learned``        ``g = softplus(w . joint + c)``, the learned mixin, plus ``entropy`` times the mean entropy of
                   the expert ``g delta`` (LMH; 0 is the plain learned mixin)
=================  =====================================================================================

As in the authors' code: s is a sigmoid of a learned number that starts at -1; the joint vector is not detached, so the
model learns through g as well; the loss is summed over answers, the entropy averaged over them; reweighting is not
multiplied by the number of answers, so it is that much smaller than the answer loss, and so should be the weights of
terms beside it. Each example is part of its own prior.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqa_gs.contracts import (
    ANOTHER_RUN,
    JOINT,
    PRIOR,
    Batch,
    Objective,
    ObjectiveOutput,
    Outputs,
    TrainingStatistics,
    reported,
)
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Output
from vqa_gs.objectives.losses import entropy, loss_of, mean_over_processes, precise, share_of_answers
from vqa_gs.objectives.settings.expert import ExpertSettings
from vqa_gs.objectives.terms.answer import row_weights


def bias_logits(output: Output, prior: Tensor, smooth: Tensor) -> Tensor:
    """What a product of experts adds to the logits, shaped as the prior (n, answers).

    Example:
        >>> import torch
        >>> round(bias_logits("sigmoid", torch.tensor(0.9), torch.sigmoid(torch.tensor(-1.0))).item(), 5)
        1.15322
    """
    added = torch.log(prior + smooth)
    return added - torch.log1p(smooth - prior) if output == "sigmoid" else added


@OBJECTIVES.register("expert")
class Expert(Objective):
    """The answer loss beside the prior of the question type. Its gradients are the model's, g's and s's."""

    Settings = ExpertSettings
    settings: ExpertSettings
    logged = ("expert_loss", "expert_entropy", "expert_gate", "expert_smooth")
    replaces = frozenset({"answer"})
    prior: Tensor

    def __init__(self, settings: ExpertSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        # Said of every example: too much to be copied to a device, or saved.
        self.said: Tensor | None = None
        if settings.bias_run is not None:
            assert statistics.said_by is not None
            self.said = statistics.said_by(settings.bias_run)
        else:
            assert statistics.answer_prior is not None
            self.register_buffer("prior", statistics.answer_prior())
        if settings.mix == "reweight":
            return
        smooth = torch.tensor(settings.smooth_logit)
        if settings.smooth == "learned":
            self.smooth = nn.Parameter(smooth)
        else:
            self.register_buffer("smooth", smooth)
        if settings.mix == "learned":
            self.gate = nn.Linear(statistics.sizes["joint"], 1)

    @classmethod
    def requirements(cls, settings: ExpertSettings) -> frozenset[str]:
        """The learned mixin looks at the joint vector too."""
        bias = PRIOR if settings.bias_run is None else ANOTHER_RUN
        return frozenset({bias, JOINT} if settings.mix == "learned" else {bias})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over all rows, pair ends weighted by ``pair_rows``."""
        settings, weight = self.settings, row_weights(outputs, self.settings.pair_rows)
        prior = self._prior(outputs.batch)
        if settings.mix == "reweight":
            return self._reweighted(outputs, prior, weight)
        smooth = torch.sigmoid(self.smooth)
        added = bias_logits(settings.output, prior, smooth)
        values = {"expert_smooth": (smooth.expand_as(weight), weight)}
        loss = torch.zeros_like(weight)
        if settings.mix == "learned":
            gate = functional.softplus(precise(self.gate(outputs.of_rows("joint")))).squeeze(1)
            added = gate.unsqueeze(1) * added
            spread = entropy(settings.output, added)
            loss = settings.entropy * spread
            values |= {"expert_gate": (gate, weight), "expert_entropy": (spread, weight)}
        loss = loss + loss_of(settings.output, outputs.logits + added, outputs.targets)
        report = reported(expert_loss=(loss, weight), **values)
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **report)

    def _prior(self, batch: Batch) -> Tensor:
        """Returns the bias b (n, answers): the prior of each row's question type, or what another run says of it."""
        if self.said is None:
            return self.prior[batch.question_type]
        assert batch.examples is not None
        logits = self.said[batch.examples.cpu()].to(batch.targets.device, torch.float32)
        return torch.sigmoid(logits) if self.settings.output == "sigmoid" else torch.softmax(logits, 1)

    def _reweighted(self, outputs: Outputs, prior: Tensor, weight: Tensor) -> ObjectiveOutput:
        """The mean over rows and answers, or over rows, weighted by how little the prior says of them."""
        if self.settings.output == "sigmoid":
            unknown = (1 - prior) * weight.unsqueeze(1)
            losses = functional.binary_cross_entropy_with_logits(outputs.logits, outputs.targets, reduction="none")
        else:
            share = share_of_answers(outputs.targets)
            unknown = (share.sum(1) - (share * prior).sum(1)) * weight
            losses = loss_of("softmax", outputs.logits, outputs.targets)
        loss, counted = (losses * unknown).sum(), unknown.detach().sum()
        total = mean_over_processes(counted).clamp_min(torch.finfo(losses.dtype).tiny)
        return ObjectiveOutput(loss / total, {"expert_loss": loss.detach()}, {"expert_loss": counted})
