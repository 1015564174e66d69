"""Ends the daemons of a Slurm and its jobs when the process that started it is gone: `keeper.py FOLDER PARENT`.

A test run that is killed ends nothing by itself, and daemons with a session of their own would stay for ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path


def of_folder(folder: str) -> list[int]:
    """Returns the processes, but for this one, whose command or environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if folder.encode() in said and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def keep(folder: str, parent: int) -> None:
    """Waits until the parent is gone, or has cleared up itself; then ends what is left."""
    while os.getppid() == parent:
        if not Path(folder).exists():
            return
        time.sleep(0.5)
    until = time.monotonic() + 30
    while (left := of_folder(folder)) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(sys.argv[1], int(sys.argv[2]))
