"""The forward pass over questions about images, and what objectives see of it."""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.models import HeadOutput, RegionModel
from vqa_gs.objectives import Ends, Inputs, Step
from vqa_gs.pair_builders.alignment.directions import differences
from vqa_gs.tasks._base import Wanted
from vqa_gs.tasks._ends import counterparts, pair_ends
from vqa_gs.tasks.vqa.batches import VqaBatch


def examine(model: RegionModel, batch: VqaBatch, wanted: Wanted) -> Step:
    """Answers a batch and returns the step as objectives see it.

    Args:
        model: the network.
        batch: pair ends first.
        wanted: what the objectives ask for.
    """
    ends = len(batch.labels)
    regions = model.prepare_regions(batch.features, batch.boxes, batch.sizes, batch.mask)
    question, words = _encode(model, batch.tokens, ends, wanted)
    # Only the pair ends are differentiated by their regions, so only they go through a graph that allows it.
    leaf = regions[:ends].detach().requires_grad_("regions" in wanted.places)
    heads = []
    if ends:
        heads.append(model.head(leaf, batch.mask[:ends], question[:ends], wanted.traces))
    if ends < len(regions):
        heads.append(model.head(regions[ends:], batch.mask[ends:], question[ends:]))
    logits = heads[0].logits if len(heads) == 1 else torch.cat([head.logits for head in heads])
    return Step(
        logits,
        batch.targets,
        torch.ones(len(logits), device=logits.device),
        batch.rows,
        _ends(batch, heads[0], leaf, words, wanted) if ends else None,
        batch.end_rows,
        batch.epoch,
        Inputs(regions, batch.mask, question, lambda *inputs: model.head(*inputs).logits),
    )


def _encode(model: RegionModel, tokens: Tensor, ends: int, wanted: Wanted) -> tuple[Tensor, Tensor | None]:
    """Returns the question vectors, and the ends' word vectors where a term differentiates by them."""
    if not ends or "question" not in wanted.places:
        return model.encode_question(tokens), None
    words = model.embed_words(tokens[:ends])
    # cuDNN's recurrent networks have no second derivative; torch's own have.
    with torch.backends.cudnn.flags(enabled=False):
        first = model.encode_words(words)
    rest = [model.encode_question(tokens[ends:])] if ends < len(tokens) else []
    return torch.cat([first, *rest]), words


def _ends(batch: VqaBatch, head: HeadOutput, leaf: Tensor, words: Tensor | None, wanted: Wanted) -> Ends:
    inputs = {"regions": leaf, "attended": head.attended}
    ends = pair_ends(batch, head.logits, batch.targets[: len(batch.labels)], inputs, wanted, {"regions"})
    if words is not None:
        ends.inputs["question"], there = words, words.detach()
        ends.directions["question"] = differences(there, there, *counterparts(batch.word_alignment))
    ends.trace, ends.pick = head.trace, head.pick
    return ends
