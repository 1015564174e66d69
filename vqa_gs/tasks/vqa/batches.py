"""Batches of ordinary questions and whole pairs, read ahead of the loop into re-used buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.contracts import Batch, Sharing
from vqa_gs.data.vocabulary import AnswerVocabulary
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.pair_builders.alignment.directions import alignment_index, partner_classes, remaining_regions
from vqa_gs.pair_builders.alignment.tokens import align_tokens
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.read_ahead import BUFFERS
from vqa_gs.seen import runs
from vqa_gs.tasks.vqa.examples import Examples


@dataclass(kw_only=True)
class VqaBatch(Batch):
    """One step's questions, see `Batch`, with the regions of their images.

    Attributes:
        features: (m, regions, dim) float32, zero-padded. Without ``sharing`` m is n; with it the pair ends have a row
            each and behind them stand the images of the ordinary questions, each once.
        boxes: (m, regions, 4) float32 pixels.
        sizes: (m, 2) float32 width, height.
        mask: (m, regions) bool.
        tokens: (n, length) int64.
        word_alignment: as ``alignment``, of the words of the two questions.
        sharing: which image each ordinary question is about; None: each has its own.
        partner_class: see `PairEnds`; None where the pair table names no classes.
    """

    features: Tensor
    boxes: Tensor
    sizes: Tensor
    mask: Tensor
    tokens: Tensor
    word_alignment: tuple[Tensor, ...]
    sharing: Sharing | None = None
    partner_class: Tensor | None = None


class PairedExamples(Protocol):
    """Examples and pairs of them: what a run trains on, or what a trained model is shown.

    Attributes:
        answers: the answer vocabulary.
        examples: the questions, with soft targets.
        pairs: the pair table, None without pairs.
        pair_rows: (P, 2) int64, the examples at the pairs' ends.
    """

    answers: AnswerVocabulary
    examples: Examples
    pairs: PairTable | None
    pair_rows: NDArray[np.int64]


class BatchReader:
    """Reads batches of questions and whole pairs.

    Args:
        data: examples and pairs.
        store: the region store.
        align_words: whether the words of pairs' questions are aligned.
    """

    def __init__(self, data: PairedExamples, store: RegionStore, align_words: bool = False) -> None:
        self.data, self.store, self.align_words = data, store, align_words
        self._buffers: list[RegionBatch | None] = [None] * BUFFERS

    def read(
        self,
        ordinary: NDArray[np.int64],
        pairs: NDArray[np.int64],
        slot: int = 0,
        rows: float = 1.0,
        end_rows: float = 1.0,
        epoch: float = 0.0,
        seed: int = 0,
        share: bool = False,
    ) -> VqaBatch:
        """Reads one batch.

        Args:
            ordinary: ordinary questions, rows of the examples.
            pairs: pairs, rows of the pair table.
            slot: which of `BUFFERS` buffers holds the regions; it is used again with the same slot.
            rows: see `Batch`, as for the others.
            end_rows: for pair ends.
            epoch: how far training has come.
            seed: of dropout.
            share: read an image once for ordinary questions about it that stand one after the other.
        """
        data, examples = self.data, self.data.examples
        ends = data.pair_rows[pairs].T.reshape(-1)
        of = np.concatenate([ends, ordinary])
        shown, sharing = of, None
        if share and len(ordinary):
            first, counts = runs(examples.image_ids[ordinary])
            shown, sharing = np.concatenate([ends, ordinary[first]]), Sharing.of_counts(counts)
        regions = self.store.read_batch(list(examples.image_ids[shown]), out=self._buffers[slot])
        self._buffers[slot] = regions
        assert examples.targets is not None
        targets = torch.from_numpy(np.ascontiguousarray(examples.targets.dense(of)))
        labels = torch.from_numpy(examples.best[ends])
        mask, features = regions.mask, regions.features
        alignment: tuple[Tensor, ...] = ()
        word_alignment: tuple[Tensor, ...] = ()
        tokens = examples.tokens[torch.from_numpy(of)]
        weight, partner_class = torch.ones(0), None
        if data.pairs is not None and len(pairs):
            count = len(pairs)
            held = regions.counts.numpy()
            width = mask.shape[1]
            alignment = alignment_index(
                data.pairs, pairs, held[:count], held[count : 2 * count], width_a=width, width_b=width
            ).to("cpu")
            if data.pairs.region_class is not None:
                partner_class = torch.from_numpy(partner_classes(data.pairs, pairs, width))
            if self.align_words:
                word_alignment = align_tokens(tokens[:count].numpy(), tokens[count : 2 * count].numpy()).to("cpu")
            weight = torch.from_numpy(np.tile(data.pairs.weight[pairs], 2))
            if data.pairs.mask_first is not None:
                kept = torch.from_numpy(remaining_regions(data.pairs, pairs, held[count : 2 * count], width_b=width))
                mask = mask.clone()
                mask[count : 2 * count] &= kept
                features[count : 2 * count].masked_fill_(~kept.unsqueeze(-1).to(features.device), 0)
            if data.pairs.answer_b is not None:
                self._override_answers(pairs, targets, labels)
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
            rows=rows,
            end_rows=end_rows,
            epoch=epoch,
            seed=seed,
            examples=torch.from_numpy(of),
            question_type=torch.from_numpy(examples.question_type[of]),
            answer_type=torch.from_numpy(examples.answer_type[of]),
            sharing=sharing,
            partner_class=partner_class,
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

    def planned(self, plan: Plan) -> Callable[[int], VqaBatch]:
        """Returns what reads the batch of a step; its buffers are used again `BUFFERS` calls later."""

        def step_batch(step: int) -> VqaBatch:
            ordinary, pairs, all_ordinary, all_pairs = plan.step(step)
            return self.read(
                ordinary,
                pairs,
                step % BUFFERS,
                (2 * all_pairs + all_ordinary) / plan.world,
                2 * all_pairs / plan.world,
                step / plan.steps_per_epoch,
                plan.step_seed(step),
                plan.by_image,
            )

        return step_batch
