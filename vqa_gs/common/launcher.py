"""Processes that a launcher started: they end when it does, however it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache

_EVERY = 1.0


@cache
def end_with_launcher() -> None:
    """Ends this process as a signal would, soon after the process that started it has gone.

    ``torchrun`` ends its processes when it is told to end; killed outright, or for want of memory, it cannot, and they
    would train on, holding the run's lock and the GPU. What is being written then stays whole, as after any kill.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_EVERY)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5 * _EVERY)
        os.kill(os.getpid(), signal.SIGKILL)  # waiting for another process in C, it does not hear of signals

    threading.Thread(target=watch, name="launcher", daemon=True).start()
