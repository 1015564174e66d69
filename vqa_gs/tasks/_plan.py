"""What each step takes, and batches made ahead of the loop: the same for every task."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_AHEAD = 2
# One batch is in the loop's hands, `_AHEAD` wait, one is being filled.
BUFFERS = _AHEAD + 2


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

    def step_seed(self, step: int) -> int:
        """Returns the seed of a step's dropout in this process.

        It depends on seed, step and process only: nothing has to be saved to resume dropout exactly.
        """
        return int(np.random.SeedSequence([self.seed, step, self.rank]).generate_state(1)[0])


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
