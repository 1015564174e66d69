"""Batches of ordinary questions and whole pairs, read ahead of the loop into re-used buffers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.alignment.directions import alignment_index, remaining_regions
from vqa_gs.pair_builders.alignment.tokens import align_tokens
from vqa_gs.tasks._base import Batch
from vqa_gs.tasks._plan import BUFFERS, Plan
from vqa_gs.tasks._regions import image_batches
from vqa_gs.tasks.vqa.examples import Examples, TrainingData


@dataclass(kw_only=True)
class VqaBatch(Batch):
    """One step's questions, see `Batch`, with the regions of their images.

    Attributes:
        features: (n, regions, dim) float32, zero-padded.
        boxes: (n, regions, 4) float32 pixels.
        sizes: (n, 2) float32 width, height.
        mask: (n, regions) bool.
        tokens: (n, length) int64.
        word_alignment: as ``alignment``, of the words of the two questions.
    """

    features: Tensor
    boxes: Tensor
    sizes: Tensor
    mask: Tensor
    tokens: Tensor
    word_alignment: tuple[Tensor, ...]


class Batcher:
    """Assembles the batches of a `Plan`.

    Args:
        data: examples and pairs.
        store: the region store.
        plan: what each step takes.
        align_words: whether the words of pairs' questions are aligned.
    """

    def __init__(self, data: TrainingData, store: RegionStore, plan: Plan, align_words: bool = False) -> None:
        self.data, self.store, self.plan, self.align_words = data, store, plan, align_words
        self._buffers: list[RegionBatch | None] = [None] * BUFFERS

    def __call__(self, step: int) -> VqaBatch:
        """Assembles one step's batch; its buffers are used again four calls later."""
        data, examples = self.data, self.data.examples
        ordinary, pairs, all_ordinary, all_pairs = self.plan.step(step)
        ends = data.pair_rows[pairs].T.reshape(-1)
        rows = np.concatenate([ends, ordinary])
        slot = step % BUFFERS
        regions = self.store.read_batch(list(examples.image_ids[rows]), out=self._buffers[slot])
        self._buffers[slot] = regions
        assert examples.targets is not None
        targets = torch.from_numpy(np.ascontiguousarray(examples.targets.dense(rows)))
        labels = torch.from_numpy(examples.best[ends])
        mask, features = regions.mask, regions.features
        alignment: tuple[Tensor, ...] = ()
        word_alignment: tuple[Tensor, ...] = ()
        tokens = examples.tokens[torch.from_numpy(rows)]
        weight = torch.ones(0)
        if data.pairs is not None and len(pairs):
            count = len(pairs)
            counts = regions.counts.numpy()
            width = mask.shape[1]
            alignment = alignment_index(
                data.pairs, pairs, counts[:count], counts[count : 2 * count], width_a=width, width_b=width
            ).to("cpu")
            if self.align_words:
                word_alignment = align_tokens(tokens[:count].numpy(), tokens[count : 2 * count].numpy()).to("cpu")
            weight = torch.from_numpy(np.tile(data.pairs.weight[pairs], 2))
            if data.pairs.mask_first is not None:
                kept = torch.from_numpy(remaining_regions(data.pairs, pairs, counts[count : 2 * count], width_b=width))
                mask = mask.clone()
                mask[count : 2 * count] &= kept
                features[count : 2 * count].masked_fill_(~kept.unsqueeze(-1), 0)
            if data.pairs.answer_b is not None:
                self._override_answers(pairs, targets, labels)
        world = self.plan.world
        return VqaBatch(
            features=features,
            boxes=regions.boxes,
            sizes=regions.sizes,
            mask=mask,
            tokens=tokens,
            targets=targets,
            labels=labels,
            alignment=alignment,
            word_alignment=word_alignment,
            weight=weight,
            rows=(2 * all_pairs + all_ordinary) / world,
            end_rows=2 * all_pairs / world,
            epoch=step / self.plan.steps_per_epoch,
            seed=self.plan.step_seed(step),
        )

    def _override_answers(self, pairs: NDArray[np.int64], targets: Tensor, labels: Tensor) -> None:
        assert self.data.pairs is not None
        assert self.data.pairs.answer_b is not None
        for at, pair in enumerate(pairs):
            answer = self.data.pairs.answer_b[pair]
            if answer is None:
                continue
            row = len(pairs) + at
            label = self.data.answers.index.get(answer, -1)
            targets[row] = 0
            labels[row] = label
            if label >= 0:
                targets[row, label] = 1


def inference_batches(
    examples: Examples, store: RegionStore, batch_size: int, rank: int = 0, world: int = 1
) -> Generator[tuple[NDArray[np.int64], RegionBatch, Tensor], None, None]:
    """Yields rows, regions and tokens of all examples in order; of several processes, each gets a share of them."""
    with closing(image_batches(list(examples.image_ids), store, batch_size, rank, world)) as batches:
        for rows, regions in batches:
            yield rows, regions, examples.tokens[torch.from_numpy(rows)]
