"""What each step takes: a pure function of seed and step, the same for every task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Batches that are put in order of length together: more of them pad less, and mix less.
_SORTED = 8

Lengths = NDArray[np.int64] | None


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
        lengths: of ordinary examples and of pairs, where a step costs what its longest example is long; its examples
            are then of about one length.

    Attributes:
        steps_per_epoch: steps in which each ordinary example is taken once.
        by_image: whether examples about one image stand together, and are few enough to share it.
    """

    by_image = False

    def __init__(
        self,
        ordinary: int,
        pairs: int,
        batch_size: int,
        pairs_per_batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        lengths: tuple[Lengths, Lengths] = (None, None),
    ) -> None:
        self.ordinary, self.pairs = ordinary, pairs
        self.batch_size, self.pairs_per_batch = batch_size, pairs_per_batch if pairs else 0
        self.seed, self.rank, self.world = seed, rank, world
        self.lengths = lengths
        self.steps_per_epoch = -(-ordinary // batch_size)
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def _order(self, stream: int, turn: int, length: int) -> NDArray[np.int64]:
        key = (stream, turn)
        if key not in self._orders:
            if len(self._orders) > 8:
                self._orders.clear()
            rng = np.random.default_rng([self.seed, stream, turn])
            order, lengths = rng.permutation(length), self.lengths[stream]
            if lengths is not None:
                order = by_length(order, lengths, (self.batch_size, self.pairs_per_batch)[stream], rng)
            self._orders[key] = order
        return self._orders[key]

    def step(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
        """Returns this process's examples and pairs of a step, and how many all processes have of each."""
        examples, count = self._examples(*divmod(step, self.steps_per_epoch))
        wanted = np.arange(step * self.pairs_per_batch, (step + 1) * self.pairs_per_batch)
        chosen = np.array([self._order(1, int(n // self.pairs), self.pairs)[n % self.pairs] for n in wanted], np.int64)
        return examples, chosen[self.rank :: self.world], count, len(chosen)

    def _examples(self, epoch: int, at: int) -> tuple[NDArray[np.int64], int]:
        """Returns this process's examples of a step of an epoch, and how many all processes have."""
        examples = self._order(0, epoch, self.ordinary)[at * self.batch_size : (at + 1) * self.batch_size]
        return examples[self.rank :: self.world], len(examples)

    def step_seed(self, step: int) -> int:
        """Returns the seed of a step's dropout in this process.

        It depends on seed, step and process only: nothing has to be saved to resume dropout exactly.
        """
        return int(np.random.SeedSequence([self.seed, step, self.rank]).generate_state(1)[0])


def by_length(
    order: NDArray[np.int64], lengths: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rearranges an order so that batches hold examples of about one length, and come in no order of length.

    Args:
        order: (n,) a permutation.
        lengths: (n,) of each example.
        size: of a batch.
        rng: what batches are dealt out by.
    """
    span = size * min(_SORTED, max(1, len(order) // (4 * size)))  # few examples would always meet the same ones
    groups = [order[start : start + span] for start in range(0, len(order), span)]
    ordered = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
    whole = len(order) // size
    batches = ordered[: whole * size].reshape(whole, size)[rng.permutation(whole)]
    return np.concatenate([batches.reshape(-1), ordered[whole * size :]])
