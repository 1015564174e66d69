"""A run directory: whose it is, what it records, when it is complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import atomic_path, open_own, refuse_links, sync_folder, write_json, write_text
from vqa_gs.common.provenance import environment
from vqa_gs.training.config import RunConfig, is_saved, load_config, save_config


class RunIsBusy(UsageError):
    """Another process is training the run in this moment."""


class RunDirectory:
    """The folder of one run.

    Args:
        path: the folder.
        config: the run's settings.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @property
    def checkpoint(self) -> Path:
        """The file an interrupted run goes on from; removed when the run is complete."""
        return self.path / "checkpoint.pt"

    @property
    def is_done(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "done").exists()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder, or takes over that of an interrupted run, and keeps others out until the block ends.

        A folder in which `save_settings` was never called is removed again.

        Raises:
            UsageError: it holds a run with other settings, something else, or is being trained in this moment.
            DataError: it cannot be made or written to.
        """
        saved = self.path / "config.yaml"
        self.refuse_other()
        if self.is_done:
            with suppress(OSError):  # it may have been killed before its last two acts
                self.checkpoint.unlink(missing_ok=True)
                (self.path / ".lock").unlink(missing_ok=True)
            yield  # without a lock, which works in a folder that others may only read
            return
        lock = self._locked()
        try:
            self.refuse_other()  # again: another process may have made a run of it in between
            yield
        finally:
            with suppress(OSError):
                (self.path / ".lock").unlink()
                if not saved.exists():  # refused before it began: nothing is left under the name
                    self.path.rmdir()
            os.close(lock)

    def refuse_other(self) -> None:
        """Raises `UsageError` if the folder holds a run with other settings, or something else than a run."""
        saved = self.path / "config.yaml"
        if saved.exists():
            if not is_saved(self.config, saved) and (earlier := load_config(saved)) != self.config:
                raise UsageError(
                    f"{self.path} holds a run with other settings ({_first_difference(earlier, self.config)})",
                    mend="choose another --out, or remove the folder",
                )
            refuse_links(self.path)
        elif self.path.exists() and (not self.path.is_dir() or any(map(_is_foreign, self.path.iterdir()))):
            raise UsageError(f"{self.path} exists and is no run directory", mend="choose another --out")

    def _locked(self) -> int:
        """Makes and locks the folder for this process; the system unlocks it when the process ends, however it ends.

        Returns:
            The descriptor that holds the lock.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open_own(self.path / ".lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise DataError(
                f"cannot be written to: {error.strerror}", file=self.path, mend="choose a writable place"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking, the one who held it may have ended and taken the file away.
            taken = not os.path.samestat(os.fstat(lock), os.stat(self.path / ".lock"))
        except FileNotFoundError:
            taken = True
        except OSError as error:
            # A file system without locks: the user has to see to it that nobody trains here twice.
            taken = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        if taken:
            owner = os.pread(lock, 100, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise RunIsBusy(
                f"{self.path} is being trained by another process" + (f", {owner}" if owner else ""),
                mend="wait for it to end, or choose another --out",
            )
        with suppress(OSError):  # only for the message above
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()} on {os.uname().nodename}".encode("ascii", "replace"), 0)
        return lock

    def save_settings(self) -> None:
        """Writes config.yaml, which makes the folder a run's."""
        saved = self.path / "config.yaml"
        if not saved.exists():
            with atomic_path(saved) as temporary:
                save_config(self.config, temporary)

    def record(self, facts: dict[str, Any]) -> None:
        """Writes run.json: the facts, the command that repeats the run, versions, machine and git revision."""
        again = self.path.with_name(f"{self.path.name}-again")
        command = ["vqa-gs", "train", "--config", str(self.path / "config.yaml"), "--out", str(again)]
        write_json(self.path / "run.json", {"command": shlex.join(command), **facts, "environment": environment()})

    def finish(self) -> None:
        """Marks the run as complete; the checkpoint is not needed any more."""
        write_text(self.path / "done", time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
        self.checkpoint.unlink(missing_ok=True)
        sync_folder(self.path)


def _is_foreign(entry: Path) -> bool:
    """Whether an entry of a folder without settings is something else than what a run killed at once leaves."""
    return entry.name != ".lock" and not entry.name.startswith(".config.yaml.")


def _first_difference(one: RunConfig, other: RunConfig) -> str:
    def walk(a: Any, b: Any, name: str) -> str | None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in {**a, **b}:
                found = walk(a.get(key), b.get(key), f"{name}.{key}" if name else key)
                if found:
                    return found
            return None
        return None if a == b else f"{name} was {a!r}, is {b!r}"

    return walk(one.to_dict(), other.to_dict(), "") or "they differ"
