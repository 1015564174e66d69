"""Signals that ask a process to end: what it is at ends with its step, and what it has is kept."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGTERM: batch systems, launchers and people end a process with it. SIGUSR2: what submitit has Slurm send before a
# job's time is over.
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Stopped(BaseException):
    """A signal ended the work; no error, so that nothing that mends errors holds it up.

    Args:
        number: the signal.
        what: what is left behind, in words.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {what}")
        self.number = int(number)


class Stop:
    """Whether this process was asked to end.

    Attributes:
        asked: the signal, 0 if there was none.
        heard: whether somebody acts on it.
    """

    asked = 0
    heard = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A block that learns of `SIGNALS` in place of being ended by them; one it did not hear of acts after it.

    Outside of the main thread, which alone may handle signals, nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop.asked = stop.asked or number

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None: a handler that Python knows nothing of.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if stop.asked and not stop.heard:
            os.kill(os.getpid(), stop.asked)
