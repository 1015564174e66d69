"""One training step: the forward pass, the objectives, their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vqa_gs.objectives import OBJECTIVES
from vqa_gs.tasks import Batch, Task, Wanted


class TrainingStep(nn.Module):
    """Model and objectives as one module whose forward pass returns the whole loss.

    Under distributed training the inner gradient has to be taken inside the wrapped module's forward pass, so the
    objectives live in it rather than in the loop.

    Args:
        model: the network.
        objectives: settings of the active objectives by name.
        task: whose forward pass it is.

    Raises:
        UsageError: an objective asks for what the task or the model does not have.
    """

    def __init__(self, model: nn.Module, objectives: dict[str, Any], task: type[Task]) -> None:
        super().__init__()
        self.model = model
        self.examine = task.examine
        self.terms = nn.ModuleDict({name: OBJECTIVES[name](part) for name, part in objectives.items()})
        self.weights = {name: float(part.weight) for name, part in objectives.items()}
        terms = list(self.terms.values())
        self.wanted = Wanted(
            frozenset().union(*(term.places() for term in terms)),  # type: ignore[operator]
            frozenset().union(*(term.aligned() for term in terms)),  # type: ignore[operator]
            any(term.needs_trace for term in terms),
            any(term.needs_inputs for term in terms),
        )
        task.require(model, self.wanted)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns the loss () and the sums and counts of what is logged."""
        torch.manual_seed(batch.seed)
        step = self.examine(self.model, batch, self.wanted)
        loss = step.logits.new_zeros(())
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            out = term(step)
            loss = loss + self.weights[name] * out.scale * out.loss
            sums.update(out.sums)
            counts.update(out.counts)
        return loss, sums, counts
