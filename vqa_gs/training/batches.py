"""Batches of ordinary questions and whole pairs, read ahead of the loop into re-used buffers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.store import RegionBatch, RegionStore
from pair_builders.directions import alignment_index, remaining_regions
from pair_builders.token_alignment import align_tokens
from vqa_gs.training.examples import Examples, TrainingData

T = TypeVar("T")
_AHEAD = 2
# One batch is in the loop's hands, `_AHEAD` wait, one is being filled.
_BUFFERS = _AHEAD + 2


@dataclass
class Batch:
    """One step's input: 2P pair ends (all a, then all b), then ordinary questions.

    Attributes:
        features: (n, regions, dim) float32, zero-padded.
        boxes: (n, regions, 4) float32 pixels.
        sizes: (n, 2) float32 width, height.
        mask: (n, regions) bool.
        tokens: (n, length) int64.
        targets: (n, answers) float32.
        labels: (2P,) int64, best answers of the ends, -1 for none.
        alignment: gather indices of the directions at both ends, see `pair_builders.directions`.
        word_alignment: the same of the words of the two questions; empty where nobody asks for it.
        weight: (2P,) float32 pair weights.
        rows: rows of all processes' batches divided by the number of processes.
        end_rows: as ``rows``, for pair ends.
        epoch: how far training has come.
        seed: seed of this step's dropout.
    """

    features: Tensor
    boxes: Tensor
    sizes: Tensor
    mask: Tensor
    tokens: Tensor
    targets: Tensor
    labels: Tensor
    alignment: tuple[Tensor, ...]
    word_alignment: tuple[Tensor, ...]
    weight: Tensor
    rows: float
    end_rows: float
    epoch: float
    seed: int

    def to(self, device: torch.device) -> Batch:
        """Returns the batch on a device."""

        def move(value: object) -> object:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return tuple(move(part) for part in value) if isinstance(value, tuple) else value

        return Batch(**{name: move(value) for name, value in vars(self).items()})  # type: ignore[arg-type]


class Plan:
    """Which examples and pairs each step takes: a pure function of seed and step, so that any step can be resumed.

    Args:
        ordinary: number of ordinary training questions.
        pairs: number of pairs.
        batch_size: ordinary questions a step, over all processes.
        pairs_per_batch: pairs a step, over all processes.
        seed: seed of the order.
        rank: which process this is.
        world: of how many.
    """

    def __init__(
        self,
        ordinary: int,
        pairs: int,
        batch_size: int,
        pairs_per_batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.ordinary, self.pairs = ordinary, pairs
        self.batch_size, self.pairs_per_batch = batch_size, pairs_per_batch if pairs else 0
        self.seed, self.rank, self.world = seed, rank, world
        self.steps_per_epoch = -(-ordinary // batch_size)
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def _order(self, stream: int, turn: int, length: int) -> NDArray[np.int64]:
        key = (stream, turn)
        if key not in self._orders:
            if len(self._orders) > 8:
                self._orders.clear()
            self._orders[key] = np.random.default_rng([self.seed, stream, turn]).permutation(length)
        return self._orders[key]

    def step(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
        """Returns this process's examples and pairs of a step, and how many all processes have of each."""
        epoch, at = divmod(step, self.steps_per_epoch)
        order = self._order(0, epoch, self.ordinary)
        examples = order[at * self.batch_size : (at + 1) * self.batch_size]
        wanted = np.arange(step * self.pairs_per_batch, (step + 1) * self.pairs_per_batch)
        chosen = np.array([self._order(1, int(n // self.pairs), self.pairs)[n % self.pairs] for n in wanted], np.int64)
        mine = slice(self.rank, None, self.world)
        return examples[mine], chosen[mine], len(examples), len(chosen)


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
        self._buffers: list[RegionBatch | None] = [None] * _BUFFERS

    def __call__(self, step: int) -> Batch:
        """Assembles one step's batch; its buffers are used again four calls later."""
        data, examples = self.data, self.data.examples
        ordinary, pairs, all_ordinary, all_pairs = self.plan.step(step)
        ends = data.pair_rows[pairs].T.reshape(-1)
        rows = np.concatenate([ends, ordinary])
        slot = step % _BUFFERS
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
        return Batch(
            features,
            regions.boxes,
            regions.sizes,
            mask,
            tokens,
            targets,
            labels,
            alignment,
            word_alignment,
            weight,
            (2 * all_pairs + all_ordinary) / world,
            2 * all_pairs / world,
            step / self.plan.steps_per_epoch,
            # Dropout depends on seed, step and process only: nothing has to be saved to resume it exactly.
            int(np.random.SeedSequence([self.plan.seed, step, self.plan.rank]).generate_state(1)[0]),
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


def read_ahead(make: Callable[[int], T], steps: Iterable[int]) -> Generator[T, None, None]:
    """Yields ``make(step)`` for each step, made by a thread while the caller works on earlier ones.

    Errors of the thread are raised here. Closing the iterator ends the thread; use it with `contextlib.closing`, as
    an iterator left by an exception is closed only when it is collected.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def work() -> None:
        try:
            for step in steps:
                ready.put((make(step), None))
                if stop.is_set():
                    return
            ready.put((None, StopIteration()))
        except BaseException as error:
            ready.put((None, error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(queue.Empty):  # what the thread waits to hand over is not wanted any more
                ready.get(timeout=0.01)
        thread.join()


def inference_batches(
    examples: Examples, store: RegionStore, batch_size: int, rank: int = 0, world: int = 1
) -> Generator[tuple[NDArray[np.int64], RegionBatch, Tensor], None, None]:
    """Yields rows, regions and tokens of all examples in order; of several processes, each gets a share of them."""
    buffers: list[RegionBatch | None] = [None] * _BUFFERS

    def make(number: int) -> tuple[NDArray[np.int64], RegionBatch, Tensor]:
        rows = np.arange(number * batch_size, min(len(examples), (number + 1) * batch_size))
        slot = number // world % _BUFFERS
        buffers[slot] = batch = store.read_batch(list(examples.image_ids[rows]), out=buffers[slot])
        return rows, batch, examples.tokens[torch.from_numpy(rows)]

    return read_ahead(make, range(rank, -(-len(examples) // batch_size), world))
