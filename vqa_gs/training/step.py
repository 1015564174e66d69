"""One training step: the forward pass, the objectives, their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pair_builders.directions import counterpart_rows, differences
from vqa_gs.common.errors import UsageError
from vqa_gs.models import HeadOutput, RegionModel
from vqa_gs.objectives import OBJECTIVES, Ends, Inputs, Step
from vqa_gs.objectives.gradient_supervision import end_directions
from vqa_gs.training.batches import Batch


class TrainingStep(nn.Module):
    """Model and objectives as one module whose forward pass returns the whole loss.

    Under distributed training the inner gradient has to be taken inside the wrapped module's forward pass, so the
    objectives live in it rather than in the loop.

    Args:
        model: the network.
        objectives: settings of the active objectives by name.

    Raises:
        UsageError: an objective asks for a closed form that does not hold for the model.
    """

    def __init__(self, model: RegionModel, objectives: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.terms = nn.ModuleDict({name: OBJECTIVES[name](part) for name, part in objectives.items()})
        self.weights = {name: float(part.weight) for name, part in objectives.items()}
        terms = list(self.terms.values())
        self.places = frozenset().union(*(term.places() for term in terms))  # type: ignore[operator]
        self.aligned = frozenset().union(*(term.aligned() for term in terms))  # type: ignore[operator]
        self.traces = any(term.needs_trace for term in terms)
        if self.traces and (reason := model.no_closed_form()):
            raise UsageError(
                f"the closed form of gradient supervision does not hold for this model: {reason}",
                mend="set objectives.gradient_supervision.cost to double_backward",
            )

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns the loss () and the sums and counts of what is logged."""
        torch.manual_seed(batch.seed)
        model, ends = self.model, len(batch.labels)
        regions = model.prepare_regions(batch.features, batch.boxes, batch.sizes, batch.mask)
        question, words = self._encode(batch.tokens, ends)
        # Only the pair ends are differentiated by their regions, so only they go through a graph that allows it.
        leaf = regions[:ends].detach().requires_grad_("regions" in self.places)
        heads = []
        if ends:
            heads.append(model.head(leaf, batch.mask[:ends], question[:ends], self.traces))
        if ends < len(regions):
            heads.append(model.head(regions[ends:], batch.mask[ends:], question[ends:]))
        logits = heads[0].logits if len(heads) == 1 else torch.cat([head.logits for head in heads])
        step = Step(
            logits,
            batch.targets,
            torch.ones(len(logits), device=logits.device),
            batch.rows,
            self._ends(batch, heads[0], leaf, words) if ends else None,
            batch.end_rows,
            batch.epoch,
            Inputs(regions, batch.mask, question, lambda *inputs: model.head(*inputs).logits),
        )
        loss = logits.new_zeros(())
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            out = term(step)
            loss = loss + self.weights[name] * out.scale * out.loss
            sums.update(out.sums)
            counts.update(out.counts)
        return loss, sums, counts

    def _encode(self, tokens: Tensor, ends: int) -> tuple[Tensor, Tensor | None]:
        """Returns the question vectors, and the ends' word vectors where a term differentiates by them."""
        model = self.model
        if not ends or "question" not in self.places:
            return model.encode_question(tokens), None
        words = model.embed_words(tokens[:ends])
        # cuDNN's recurrent networks have no second derivative; torch's own have.
        with torch.backends.cudnn.flags(enabled=False):
            first = model.encode_words(words)
        rest = [model.encode_question(tokens[ends:])] if ends < len(tokens) else []
        return torch.cat([first, *rest]), words

    def _ends(self, batch: Batch, head: HeadOutput, leaf: Tensor, words: Tensor | None) -> Ends:
        ends = len(batch.labels)
        pairs = ends // 2
        inputs = {"regions": leaf, "attended": head.attended}
        ways: dict[str, Tensor] = {}
        counterpart, moves = _counterparts(batch.alignment)
        if "regions" in self.aligned:
            there = leaf.detach()
            ways["regions"] = differences(there, there, counterpart, moves)
        if "attended" in self.aligned:
            ways["attended"] = end_directions(head.attended)
        if words is not None:
            inputs["question"], there = words, words.detach()
            ways["question"] = differences(there, there, *_counterparts(batch.word_alignment))
        return Ends(
            head.logits,
            inputs,
            ways,
            batch.targets[:ends],
            batch.labels,
            batch.labels.roll(pairs),
            batch.weight,
            counterpart,
            moves,
            head.trace,
            head.pick,
        )


def _counterparts(alignment: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Returns where each end's regions have their counterparts, as rows of all ends' regions, and which move."""
    index, moves = torch.cat(alignment[::2]), torch.cat(alignment[1::2])
    partner = torch.arange(len(index), device=index.device).roll(len(index) // 2)
    return counterpart_rows(index, partner), moves
