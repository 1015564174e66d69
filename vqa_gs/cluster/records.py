"""What was submitted from a folder, and what became of each task: files in its folder ``slurm``."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import open_own, write_json

State = Literal["waiting", "running", "requeued", "stopped", "done", "failed"]
ENDED = frozenset({"done", "failed"})


class Submission(msgspec.Struct):
    """A job, or an array of them.

    Attributes:
        name: Slurm's name of it, which no other has; it is recorded before it is submitted.
        kind: ``prepare``, ``runs``, ``report``, ``shards`` or ``merge``.
        tasks: what each task is about, a list of names a task.
        time: when, in seconds since 1970.
        job: Slurm's number of it, "" while it has none.
        array: whether its tasks have numbers of their own.
        cancelled: whether it was cancelled from here.
    """

    name: str
    kind: str
    tasks: list[list[str]]
    time: float
    job: str = ""
    array: bool = False
    cancelled: bool = False


class TaskState(msgspec.Struct):
    """What a task last said of itself.

    Attributes:
        state: ``requeued``: it wrote what it has and waits again; ``stopped``: it was ended, and Slurm knows what next.
        node: where.
        job: Slurm's number of it.
        began: when it began, the last time, in seconds since 1970.
        seconds: how long it took, the last time.
        starts: how often it began.
        error: what went wrong.
    """

    state: State = "waiting"
    node: str = ""
    job: str = ""
    began: float = 0.0
    seconds: float = 0.0
    starts: int = 0
    error: str = ""


class Records:
    """The folder ``slurm`` of a study, or of an extraction.

    Args:
        folder: it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def logs(self) -> Path:
        """What submitit writes: what is submitted, and what jobs print."""
        return self.folder / "jobs"

    def exist(self) -> bool:
        """Returns whether anything was submitted from here."""
        return self._file.exists()

    @property
    def _file(self) -> Path:
        return self.folder / "submissions.json"

    def submissions(self) -> list[Submission]:
        """Returns what was submitted, the first first.

        Raises:
            DataError: the record is damaged.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Submission])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(
                f"is no record of submissions: {error}", file=self._file, mend="remove it when no job is left"
            ) from error

    def write(self, submissions: list[Submission]) -> None:
        """Writes what was submitted."""
        write_json(self._file, msgspec.to_builtins(submissions))

    def task_file(self, name: str, number: int) -> Path:
        """Returns where a task says what becomes of it."""
        return self.folder / "tasks" / f"{name}-{number}.json"

    def task(self, name: str, number: int) -> TaskState:
        """Returns what a task last said of itself."""
        return read_task(self.task_file(name, number))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A block that one process at a time is in; where a file system has no locks, nobody waits.

        Raises:
            DataError: the folder cannot be written to.
        """
        try:
            # What submitit hands to a job is unpickled there: nobody else may write here.
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = open_own(self.folder / ".lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise DataError(
                f"cannot be written to: {error.strerror}", file=self.folder, mend="choose a writable place"
            ) from error
        try:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def read_task(file: Path) -> TaskState:
    """Returns what a task's file says; a task without one is waiting."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=TaskState)
    except (OSError, msgspec.DecodeError):
        return TaskState()


def note_task(file: Path, state: State, error: str = "") -> None:
    """Writes what becomes of the task that this process does, in one step."""
    said = read_task(file)
    now = time.time()
    if state == "running":
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
        said.began, said.seconds, said.starts = now, 0.0, said.starts + 1
        said.node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        said.job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    else:
        said.seconds = now - said.began
    said.state, said.error = state, error
    write_json(file, msgspec.to_builtins(said))
