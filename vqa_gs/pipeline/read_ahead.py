"""Batches made by a thread ahead of whoever works on them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
_AHEAD = 2
# One batch is in the loop's hands, `_AHEAD` wait, one is being filled.
BUFFERS = _AHEAD + 2


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
