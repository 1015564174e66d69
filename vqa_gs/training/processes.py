"""The processes of one training: what one of them finds wrong stops all, with the same error."""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor
from torch import distributed as dist

from vqa_gs.common.errors import VqaGsError
from vqa_gs.common.launcher import end_with_launcher

T = TypeVar("T")


class Processes:
    """The processes that train one model together; of one process alone too, at no cost.

    A process that raised alone would leave the others waiting for it. So whatever may fail on bad input runs in
    `together`, and every process leaves it with the error of the first one that failed.

    Args:
        accelerator: of this process.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.rank = accelerator.process_index
        self.size = accelerator.num_processes
        self.is_main = accelerator.is_main_process
        # Errors are told on the CPU, so that asking for them does not wait for a GPU to finish its step.
        self._group: Any = None
        if self.size > 1:
            self._group = dist.new_group(backend="gloo")
            _leave_at_exit()
            end_with_launcher()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block every process runs; if it fails in some of them, it fails in all.

        Raises:
            VqaGsError: in every process, the error of the first that failed.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if self._group is None:
                raise
            failure = error
        if self._group is None:
            return
        first = torch.tensor(self.size if failure is None else self.rank)
        dist.all_reduce(first, dist.ReduceOp.MIN, group=self._group)
        if int(first) == self.size:
            return
        told = [failure if isinstance(failure, VqaGsError) else _strange(failure, self.rank)]
        dist.broadcast_object_list(told, src=int(first), group=self._group)
        if failure is not None and not isinstance(failure, VqaGsError):
            raise failure  # a mistake of the program: its traceback is wanted
        raise told[0]

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yields the items; where one process cannot make its next one, all stop."""
        iterator = iter(items)
        while True:
            with self.together():
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def sum(self, values: Tensor) -> Tensor:
        """Returns the sum of a CPU tensor over all processes."""
        if self._group is not None:
            dist.all_reduce(values, group=self._group)
        return values

    def highest(self, number: int) -> int:
        """Returns the highest of the processes' numbers, in every process."""
        if self._group is None:
            return number
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self._group)
        return int(found)

    def tell(self, flag: bool) -> bool:
        """Returns the main process's flag, in every process."""
        return bool(self.sum(torch.tensor(int(flag and self.is_main))))


@cache
def _leave_at_exit() -> None:
    """Ends the processes' connections before the interpreter goes: threads of theirs would abort it otherwise."""
    atexit.register(lambda: dist.destroy_process_group() if dist.is_initialized() else None)


def _strange(error: Exception | None, rank: int) -> VqaGsError:
    return VqaGsError(f"process {rank} of the training failed: {type(error).__name__}: {error}")
