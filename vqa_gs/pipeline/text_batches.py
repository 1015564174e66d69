"""What a text task computes with: batches of texts, the forward pass, splits."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vqa_gs.contracts import Batch, ModelOutput, Objective, Outputs, asked
from vqa_gs.models.text_model import TextModel
from vqa_gs.pipeline.pair_ends import pair_ends
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.scored_split import ScoredSplit
from vqa_gs.pipeline.text_alignment import TextAlignment
from vqa_gs.pipeline.text_data import TextExamples, TextTraining

ALIGNED = ("words", "encoded")


@dataclass(kw_only=True)
class TextBatch(Batch):
    """One step's texts, see `Batch`.

    Attributes:
        ends: for each text of a pair's end (2P, length) int64.
        ordinary: for each text of an ordinary example (n - 2P, length) int64, of a length of its own.
        alignment: of the words, of all texts one after the other.
    """

    ends: tuple[Tensor, ...]
    ordinary: tuple[Tensor, ...]


class TextBatcher:
    """Assembles the batches of a `Plan`.

    Args:
        data: examples and pairs.
        answers: number of labels.
        plan: what each step takes.
        aligns: whether the words of pairs are aligned.
    """

    def __init__(self, data: TextTraining, answers: int, plan: Plan, aligns: bool) -> None:
        self.data, self.plan = data, plan
        self.alignment = TextAlignment(data.examples.tokens, data.pairs) if aligns else None
        self.targets = torch.eye(answers)

    def __call__(self, step: int) -> TextBatch:
        """Assembles one step's batch."""
        ordinary, pairs, all_ordinary, all_pairs = self.plan.step(step)
        ends = self.data.pairs[pairs].T.reshape(-1)
        rows = np.concatenate([ends, ordinary])
        tokens = self.data.examples.rows(ends)
        labels = torch.from_numpy(self.data.examples.labels[rows])
        count, world = len(pairs), self.plan.world
        return TextBatch(
            ends=tokens,
            ordinary=self.data.examples.rows(ordinary),
            targets=self.targets[labels],
            labels=labels[: len(ends)],
            alignment=self.alignment.of(pairs, tokens) if self.alignment is not None and count else (),
            weight=torch.ones(len(ends)),
            rows=(2 * all_pairs + all_ordinary) / world,
            end_rows=2 * all_pairs / world,
            epoch=step / self.plan.steps_per_epoch,
            seed=self.plan.step_seed(step),
            examples=torch.from_numpy(rows),
            question_type=torch.zeros(len(rows), dtype=torch.int64),
            answer_type=labels,
        )


def forward(model: TextModel, batch: TextBatch, requirements: frozenset[str]) -> Outputs:
    """Classifies a batch.

    Pair ends go through a graph of their own, so that inner gradients are not taken through ordinary examples.
    """
    parts, ends = [], None
    for tokens in (batch.ends, batch.ordinary):
        if not len(tokens[0]):
            continue
        masks = tuple(text != 0 for text in tokens)
        words = model.embed(torch.cat(tokens, dim=1))
        if tokens is batch.ends and not words.requires_grad:
            words.requires_grad_()  # fixed word vectors have no gradient by themselves
        states = model.encode_all(words, masks)
        pooled = model.pool(states, masks)
        parts.append(ModelOutput(model.classify(pooled), joint=pooled))
        if tokens is batch.ends:
            inputs = {"words": words, "encoded": states, "pooled": pooled}
            targets = batch.targets[: len(batch.labels)]
            ends = pair_ends(batch, parts[0].logits, targets, inputs, requirements, ALIGNED)
    every = torch.cat([part.logits for part in parts])
    return Outputs(batch, every, batch.targets, torch.ones_like(every[:, 0]), ends, parts)


@dataclass
class TextSplit(ScoredSplit):
    """A split of labelled texts.

    Attributes:
        examples: the texts as tokens.
    """

    examples: TextExamples

    def logits(
        self, model: nn.Module, batch_size: int, rank: int, world: int, terms: Collection[Objective]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yields rows and logits of the texts; see `ScoredSplit`."""
        device = next(model.parameters()).device
        order = np.argsort(self.examples.lengths(), kind="stable")  # texts of one length need no padding
        for start in range(rank * batch_size, len(order), world * batch_size):
            rows = order[start : start + batch_size]
            logits = model(tuple(part.to(device) for part in self.examples.rows(rows)))
            types = torch.zeros(len(rows), dtype=torch.int64)  # texts have one type
            yield torch.from_numpy(rows), asked(terms, ModelOutput(logits), types).logits
