"""What a job does when Slurm has begun it: its work, what it says of itself, and what signals lead to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from vqa_gs.cluster.records import State, note_task
from vqa_gs.common.errors import VqaGsError
from vqa_gs.common.stopping import SIGNALS, Stopped

_PATIENCE = 30


class LostRank(VqaGsError):
    """One of a run's processes was lost, and with it the others; the run's last checkpoint is there."""


class Job(ABC):
    """A task that submitit begins; of a task on several nodes, one on each.

    submitit has a handler for SIGUSR2, which requeues the job in the middle of whatever it is at. Here the work ends
    first, by `Stopped`: training after its step and with a checkpoint, all else at once. Then that handler is called.

    Attributes:
        record: file that it says in what becomes of it.
        requeues: how often it may be begun anew where nobody knows why it was lost.
    """

    record: Path
    requeues: int = 0

    @abstractmethod
    def work(self) -> None:
        """Does it; called again, it goes on.

        Raises:
            VqaGsError: it failed, which is told in one line.
        """

    def __call__(self) -> None:
        """Does the work, as submitit calls it."""
        requeue = signal.getsignal(signal.SIGUSR2)
        assert callable(requeue)
        for number in SIGNALS:
            signal.signal(number, _stop)
        self.note("running")
        try:
            self.work()
        except Stopped as stopped:
            _deaf()
            print(f"vqa-gs: {stopped}", file=sys.stderr, flush=True)
            self._after(stopped, requeue)
        except LostRank as error:
            _deaf()
            print(f"vqa-gs: {error}", file=sys.stderr, flush=True)
            if int(os.environ.get("SLURM_RESTART_COUNT", "0")) >= self.requeues:
                self._fail(str(error))
            self._requeue(requeue)
        except VqaGsError as error:
            _deaf()
            print(f"vqa-gs: {error}", file=sys.stderr, flush=True)
            self._fail(str(error))
        except BaseException as error:
            self.note("failed", " ".join(f"{type(error).__name__}: {error}".split()))
            raise
        self.note("done")

    def checkpoint(self) -> Any:
        """Returns what is done when the job begins again: the same; submitit asks for it."""
        from submitit.helpers import DelayedSubmission

        self.note("requeued")
        return DelayedSubmission(self)

    def note(self, state: State, error: str = "") -> None:
        """Says what becomes of it, of several tasks the first."""
        if is_first():
            note_task(self.record, state, error)

    def _after(self, stopped: Stopped, requeue: Callable[..., Any]) -> NoReturn:
        # Its time is nearly over; or it is preempted with a time of grace, at whose beginning Slurm sends SIGTERM and
        # leaves the job running. A job that was cancelled or requeued is not running any more.
        if stopped.number == signal.SIGUSR2 or _is_running():
            self._requeue(requeue)
        self.note("stopped")
        raise SystemExit(128 + stopped.number)

    def _requeue(self, requeue: Callable[..., Any]) -> NoReturn:
        if is_first():
            try:
                requeue(signal.SIGUSR2, None)
            except Exception as error:  # it was requeued too often, or Slurm would not
                self._fail(f"it could not be requeued: {error}")
        # Slurm ends all its tasks.
        raise SystemExit(1)

    def _fail(self, error: str) -> NoReturn:
        self.note("failed", error)
        raise SystemExit(2)


def is_first() -> bool:
    """Returns whether this is the first of a job's tasks."""
    return os.environ.get("SLURM_PROCID", "0") == "0"


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number, "the job goes on from what it has written")


def _deaf() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _is_running() -> bool:
    """Returns whether Slurm takes this job for running."""
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", os.environ["SLURM_JOB_ID"]],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        return "JobState=RUNNING" in found.stdout
    return False
