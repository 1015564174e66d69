"""What a study needs before its runs: command lines, each called where what it makes is missing or out of date."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, open_own, write_json
from vqa_gs.study.pool import child_environment
from vqa_gs.study.spec import Step

# What the command line begins the line of an error with.
_ERROR = "vqa-gs: "


class Made(msgspec.Struct, frozen=True):
    """What is written beside a file that a step made.

    Attributes:
        key: see `step_keys`.
        command: the command line.
        finished: false while it is being made.
    """

    key: str
    command: list[str]
    finished: bool


def step_keys(steps: Sequence[Step]) -> list[str]:
    """Returns what each step's files depend on, as 64 hex digits: its words, and the steps whose files they name."""
    keys: list[str] = []
    for step in steps:
        earlier = [
            key
            for key, other in zip(keys, steps, strict=False)
            if any(file in word for file in other.files for word in step.words)
        ]
        keys.append(hashlib.sha256(json.dumps([step.words, step.files, earlier]).encode()).hexdigest())
    return keys


def record_file(file: StrPath) -> Path:
    """Returns where it is recorded how a file was made."""
    path = Path(file)
    return path.with_name(f".{path.name}.made.json")


def _made(file: StrPath) -> Made | None:
    record = record_file(file)
    try:
        return msgspec.json.decode(record.read_bytes(), type=Made)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise DataError("is no record of how a file was made", file=record, mend="remove it and the file") from error


def is_made(step: Step, key: str) -> bool:
    """Returns whether all files of a step are there as it makes them.

    Raises:
        UsageError: one of them is there but was not made by a study; it is not overwritten.
    """
    found = True
    for file in step.files:
        made, there = _made(file), Path(file).exists()
        if there and made is None:
            raise UsageError(
                f"{file} is there, but was not made by a study",
                mend="remove it, or leave the step that makes it out of `prepare`",
            )
        found = found and there and made is not None and made.finished and made.key == key
    return found


def outdated(steps: Sequence[Step], skipped: Sequence[Step] = ()) -> list[Step]:
    """Returns the steps that are to be called."""
    keys = step_keys(steps)
    return [step for step, key in zip(steps, keys, strict=True) if step not in skipped and not is_made(step, key)]


def unneeded(steps: Sequence[Step], named: Collection[str], wanted: Collection[str]) -> list[Step]:
    """Returns the steps whose files are for other runs alone.

    A step of whose files nobody speaks is needed: it may make more than it says.

    Args:
        steps: the steps, each after those whose files it names.
        named: the files that any run of the study names.
        wanted: the files that the runs in question name.
    """
    left: list[Step] = []
    needed: list[Step] = []
    for step in reversed(steps):

        def serves(others: Sequence[Step], files: Sequence[str] = step.files) -> bool:
            return any(file in word for other in others for word in other.words for file in files)

        for_others = any(file in named for file in step.files) or serves(left)
        if any(file in wanted for file in step.files) or serves(needed) or not for_others:
            needed.append(step)
        else:
            left.append(step)
    return left


def prepare(
    steps: Sequence[Step], out: Path, study: Path, say: Callable[[str], None], skipped: Sequence[Step] = ()
) -> None:
    """Calls the steps that are to be called, in their order; of several studies at once, one.

    Args:
        steps: the steps.
        out: the study's folder.
        study: the study's file, for messages.
        say: told of each step before it begins, and what it tells itself.
        skipped: steps that are not called.

    Raises:
        UsageError: a step failed; the line holds its own.
    """
    if not outdated(steps, skipped):
        return
    with _alone(out):
        for number, (step, key) in enumerate(zip(steps, step_keys(steps), strict=True)):
            if step in skipped or is_made(step, key):
                continue
            say(f"vqa-gs {' '.join(step.words)}")
            for file in step.files:
                write_json(record_file(file), msgspec.to_builtins(Made(key, step.words, False)))
            _call(step.words, study, f"prepare.{number}", say)
            for file in step.files:
                if not Path(file).exists():
                    raise UsageError(
                        f"the command has not made {file}", file=study, record=f"prepare.{number}", mend="mend `makes`"
                    )
                write_json(record_file(file), msgspec.to_builtins(Made(key, step.words, True)))


def _call(words: list[str], study: Path, record: str, say: Callable[[str], None]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vqa_gs", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    last = ""
    try:
        assert process.stderr is not None
        for raw in process.stderr:
            line = raw.decode("utf-8", "replace").rstrip()
            last = line or last
            # Its error is told once, below.
            if line and not line.startswith(_ERROR):
                say(line)
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        why = last.removeprefix(_ERROR) or f"code {process.returncode}"
        raise UsageError(f"`vqa-gs {words[0]}` failed: {why}", file=study, record=record)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """A block that one process at a time runs; others wait. Where a file system has no locks, nobody waits."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = open_own(out / ".prepare.lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DataError(f"cannot be written to: {error.strerror}", file=out, mend="choose a writable place") from error
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
