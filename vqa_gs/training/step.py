"""One training step: the forward pass, the objectives, their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vqa_gs.contracts import NO_STATISTICS, Batch, Objective, TrainingStatistics
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.pipeline.task import Task
from vqa_gs.training.config import computed


class TrainingStep(nn.Module):
    """Model and objectives as one module whose forward pass returns the whole loss.

    Under distributed training the inner gradient has to be taken inside the wrapped module's forward pass, so the
    objectives live in it rather than in the loop. So do their parameters, which the loop trains as it trains the
    model's.

    Args:
        model: the network.
        objectives: settings of the active objectives by name.
        task: whose forward pass it is.
        statistics: of the training data and the model, for objectives that ask.

    Attributes:
        terms: the objectives that are computed: those that another one replaces are left out.
        logged: what they report by name.
        rewriting: those of them that write the targets anew.
        at_test: those that have a say in the logits that answers are chosen by.
        requirements: what they need of batches, model and task.
    """

    def __init__(
        self,
        model: nn.Module,
        objectives: dict[str, Any],
        task: type[Task],
        statistics: TrainingStatistics = NO_STATISTICS,
    ) -> None:
        super().__init__()
        self.model = model
        self.forward_pass = task.forward
        kinds = {name: OBJECTIVES[name] for name in computed(objectives)}
        terms = {name: kind(objectives[name], statistics) for name, kind in kinds.items()}
        self.terms = nn.ModuleDict(terms)
        self.rewriting = [term for term in terms.values() if type(term).rewrite is not Objective.rewrite]
        self.logged = [name for term in terms.values() for name in term.logged]
        self.at_test = [term for term in terms.values() if type(term).at_test is not Objective.at_test]
        self.weights = {name: float(objectives[name].weight) for name in terms}
        needs = (kind.requirements(objectives[name]) for name, kind in kinds.items())
        self.requirements: frozenset[str] = frozenset().union(*needs)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns the loss () and the sums and counts of what is logged."""
        torch.manual_seed(batch.seed)
        outputs = self.forward_pass(self.model, batch, self.requirements)
        for rewriting in self.rewriting:
            outputs.targets = rewriting.rewrite(outputs)
        loss = outputs.logits.new_zeros(())
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            out = term(outputs)
            loss = loss + self.weights[name] * out.scale * out.loss
            sums.update(out.sums)
            counts.update(out.counts)
        return loss, sums, counts
