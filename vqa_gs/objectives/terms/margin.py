"""AdaVQA's margins (Guo et al., IJCAI 2021), as what they are: a product of experts.

Their loss is ``-sum_j y_j log_softmax_j(s (cos_j - (1 - m_j)))``, with the share m_j of an answer among those to the
question type. A softmax does not change when the same is added to all, so this is ``log_softmax(s cos + s m)``: the
bias logit is s times a probability, not its logarithm. Frequent answers get the higher logit in training, up to s, and
need less of a logit of their own; the model answers alone at test time, or with ``at_test`` with some of the bias: what
the model learnt beside it and the prior go together again, and one number says how far the prior is trusted.

Here z stands in the place of ``s cos``: the model keeps its classifier, which in AdaVQA is a cosine. m is the prior of
the question type, its row divided by its sum; AdaVQA counts all ten answers of a question, and only answers given at
least 50 times. As there, a type whose answers are spread out, with an entropy of ``max_entropy`` bits or more, has no
margins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import PRIOR, ModelOutput, Objective, ObjectiveOutput, Outputs, TrainingStatistics, reported
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import loss_of, share_of_answers
from vqa_gs.objectives.settings.margin import MarginSettings
from vqa_gs.objectives.terms.answer import row_weights


def margins(prior: Tensor, max_entropy: float) -> Tensor:
    """Returns m (types, answers) of a prior of that shape: shares of answers, zeros for types of high entropy.

    Example:
        >>> import torch
        >>> margins(torch.tensor([[0.6, 0.2], [0.0, 0.0]]), 4.5).tolist()
        [[0.75, 0.25], [0.0, 0.0]]
    """
    share = share_of_answers(prior)
    bits = -(share * share.clamp_min(torch.finfo(share.dtype).tiny).log2()).sum(1, keepdim=True)
    return share * (bits < max_entropy)


@OBJECTIVES.register("margin")
class Margin(Objective):
    """The cross-entropy of one choice, beside the shares of answers as bias logits."""

    Settings = MarginSettings
    settings: MarginSettings
    logged = ("margin_loss",)
    replaces = frozenset({"answer"})
    margins: Tensor

    def __init__(self, settings: MarginSettings, statistics: TrainingStatistics) -> None:
        super().__init__(settings, statistics)
        if statistics.answer_prior is None:  # of a finished run, which has them saved
            found = torch.zeros(len(statistics.question_types), len(statistics.answers))
        else:
            found = margins(statistics.answer_prior(), settings.max_entropy)
        self.register_buffer("margins", found)

    @classmethod
    def requirements(cls, settings: MarginSettings) -> frozenset[str]:
        """The prior of the question type."""
        return frozenset({PRIOR})

    def forward(self, outputs: Outputs) -> ObjectiveOutput:
        """Averages over all rows, pair ends weighted by ``pair_rows``."""
        weight = row_weights(outputs, self.settings.pair_rows)
        assert outputs.batch.question_type is not None
        bias = self._bias(outputs.batch.question_type)
        loss = loss_of("softmax", outputs.logits + bias, outputs.targets)
        return ObjectiveOutput((loss * weight).sum() / outputs.batch.rows, **reported(margin_loss=(loss, weight)))

    def at_test(self, out: ModelOutput, question_type: Tensor) -> Tensor:
        """Returns the logits with as much of the bias logits as was asked for; a question of no type has none."""
        if not self.settings.at_test:
            return out.logits
        known = (question_type >= 0).unsqueeze(1)
        return out.logits + self.settings.at_test * self._bias(question_type.clamp_min(0)) * known

    def _bias(self, question_type: Tensor) -> Tensor:
        return self.settings.scale * self.margins[question_type]
