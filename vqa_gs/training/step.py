"""One training step: the forward pass, the objectives, their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pair_builders.directions import directions
from vqa_gs.models import RegionModel
from vqa_gs.objectives import OBJECTIVES, Ends, Step
from vqa_gs.objectives.gradient_supervision import end_directions
from vqa_gs.training.batches import Batch


class TrainingStep(nn.Module):
    """Model and objectives as one module whose forward pass returns the whole loss.

    Under distributed training the inner gradient has to be taken inside the wrapped module's forward pass, so the
    objectives live in it rather than in the loop.

    Args:
        model: the network.
        objectives: settings of the active objectives by name.
    """

    def __init__(self, model: RegionModel, objectives: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.terms = nn.ModuleDict({name: OBJECTIVES[name](part) for name, part in objectives.items()})
        self.weights = {name: float(part.weight) for name, part in objectives.items()}
        self.places = frozenset().union(*(term.places() for term in self.terms.values()))  # type: ignore[operator]

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns the loss () and the sums and counts of what is logged."""
        torch.manual_seed(batch.seed)
        model = self.model
        regions = model.prepare_regions(batch.features, batch.boxes, batch.sizes, batch.mask)
        question = model.encode_question(batch.tokens)
        ends = len(batch.labels)
        if ends:
            # Only the pair ends are differentiated twice, so only they go through a graph that allows it.
            leaf = regions[:ends].detach().requires_grad_("regions" in self.places)
            first = model.head(leaf, batch.mask[:ends], question[:ends])
            rest = model.head(regions[ends:], batch.mask[ends:], question[ends:])
            logits = torch.cat([first.logits, rest.logits])
            pair_ends = self._ends(batch, first.logits, {"regions": leaf, "attended": first.attended})
        else:
            logits, pair_ends = model.head(regions, batch.mask, question).logits, None
        step = Step(
            logits,
            batch.targets,
            torch.ones(len(logits), device=logits.device),
            batch.rows,
            pair_ends,
            batch.end_rows,
            batch.epoch,
        )
        loss = logits.new_zeros(())
        sums, counts = {}, {}
        for name, term in self.terms.items():
            out = term(step)
            loss = loss + self.weights[name] * out.scale * out.loss
            sums.update(out.sums)
            counts.update(out.counts)
        return loss, sums, counts

    def _ends(self, batch: Batch, logits: Tensor, inputs: dict[str, Tensor]) -> Ends:
        ends = len(batch.labels)
        pairs = ends // 2
        ways: dict[str, Tensor] = {}
        if "regions" in self.places:
            leaf = inputs["regions"].detach()
            ways["regions"] = torch.cat(directions(leaf[:pairs], leaf[pairs:], *batch.alignment))
        if "attended" in self.places:
            ways["attended"] = end_directions(inputs["attended"])
        partners = batch.labels.roll(pairs)
        return Ends(logits, inputs, ways, batch.targets[:ends], batch.labels, partners, batch.weight)
