"""The forward pass over questions about images."""

from __future__ import annotations

import torch
from torch import Tensor

from vqa_gs.contracts import TRACE, ModelOutput, Outputs, PairEnds, Seen, Sharing, direction_of, gradient_by
from vqa_gs.models.vqa_model import Encoded, VqaModel, join, take
from vqa_gs.pair_builders.alignment.directions import differences
from vqa_gs.pipeline.pair_ends import counterparts, pair_ends
from vqa_gs.tasks.vqa.batches import VqaBatch


def forward(model: VqaModel, batch: VqaBatch, requirements: frozenset[str]) -> Outputs:
    """Answers a batch, pair ends and ordinary questions apart from each other.

    Args:
        model: the network.
        batch: pair ends first.
        requirements: what the terms of the loss need.
    """
    ends = len(batch.labels)
    regions = model.prepare_regions(batch.features, batch.boxes, batch.sizes, batch.mask)
    question, words = _encode(model, batch.tokens, ends, requirements)
    # Only the pair ends are differentiated by their regions, so only they go through a graph that allows it.
    leaf = regions[:ends].detach().requires_grad_(gradient_by("regions") in requirements)
    parts = []

    def ask(rows: slice, others: Tensor, mask: Tensor, sharing: Sharing | None = None) -> ModelOutput:
        if sharing is None:
            return model.answer(others, mask, take(question, rows))
        return model.answer_shared(others, mask, take(question, rows), sharing)

    if ends:
        parts.append(model.answer(leaf, batch.mask[:ends], take(question, slice(ends)), TRACE in requirements))
    if ends < len(batch):
        parts.append(ask(slice(ends, None), regions[ends:], batch.mask[ends:], batch.sharing))
    logits = parts[0].logits if len(parts) == 1 else torch.cat([part.logits for part in parts])
    return Outputs(
        batch,
        logits,
        batch.targets,
        torch.ones(len(logits), device=logits.device),
        _ends(batch, parts[0], leaf, words, requirements) if ends else None,
        parts,
        Seen(regions, batch.mask, batch.sharing),
        ask,
    )


def _encode(model: VqaModel, tokens: Tensor, ends: int, requirements: frozenset[str]) -> tuple[Encoded, Tensor | None]:
    """Returns the encoded questions, and the ends' word vectors where a term differentiates by them."""
    if not ends or gradient_by("question") not in requirements:
        return model.encode_tokens(tokens), None
    words = model.embed_words(tokens[:ends])
    first = model.encode(words, tokens[:ends] != 0, True)
    rest = [model.encode_tokens(tokens[ends:])] if ends < len(tokens) else []
    return join([first, *rest]), words


def _ends(
    batch: VqaBatch, out: ModelOutput, leaf: Tensor, words: Tensor | None, requirements: frozenset[str]
) -> PairEnds:
    inputs = {"regions": leaf}
    if out.attended is not None:
        inputs["attended"] = out.attended
    ends = pair_ends(batch, out.logits, batch.targets[: len(batch.labels)], inputs, requirements, {"regions"})
    if words is not None:
        ends.inputs["question"] = words
        if direction_of("question") in requirements:
            there = words.detach()
            ends.directions["question"] = differences(there, there, *counterparts(batch.word_alignment))
    ends.trace, ends.pick, ends.partner_class = out.trace, out.pick, batch.partner_class
    return ends
