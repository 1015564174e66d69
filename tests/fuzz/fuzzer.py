"""Runs cases in processes of their own and says which of them did not end as they must.

A case ends well where the reader reads, or raises an error meant for the user, of one line without control characters,
within `SECONDS` and `MEMORY`. Everything a case does follows from its reader, seed and number.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Read
from vqa_gs.common.errors import VqaGsError

SECONDS = 20.0
MEMORY = 2 << 30
"""Bytes of resident memory that a case may take beside what its process had, and of address space beside that."""

GRACE = 5.0
_LEAST, _MOST = 25, 2000


@dataclass(frozen=True)
class Failure:
    """A case that did not end as it must.

    Attributes:
        reader: the reader's name.
        number: the case's.
        problem: what happened.
    """

    reader: str
    number: int
    problem: str


def damage(folder: Path, reader: str, seed: int, number: int) -> Path:
    """Damages one file of a folder; returns which."""
    rng = random.Random(f"{seed} {reader} {number}")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock.mdb")
    victim = rng.choice(files)
    victim.write_bytes(mutated(victim.read_bytes(), victim.name, rng))
    return victim


def run_cases(reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int]) -> Iterator[Failure]:
    """Runs some cases of a reader, all in one process as long as none fails, and yields those that do."""
    left = list(numbers)
    while left:
        done, failures = _in_child(reader, read, seeds, seed, left)
        yield from failures
        left = left[done:]


def _in_child(reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int]) -> tuple[int, list[Failure]]:
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        os.setsid()
        _child(target, reader, read, seeds, seed, numbers)
        os._exit(0)
    os.close(target)
    done, failures, ended = 0, [], False
    with os.fdopen(source, "rb", buffering=0) as pipe:
        text = b""
        while True:
            ready, _, _ = select.select([pipe], [], [], SECONDS + GRACE)
            piece = pipe.read(1 << 16) if ready else b""
            if not piece:
                ended = bool(ready)
                break
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                if line:
                    failures.append(Failure(reader, numbers[done], line.decode("utf-8", "replace")))
                done += 1
    if not ended:
        failures.append(Failure(reader, numbers[done], f"took more than {SECONDS:g} s"))
        done += 1
    # The group: helpers too, which would otherwise wait for a request that a hanging case still holds open.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended and done < len(numbers):
        failures.append(Failure(reader, numbers[done], f"its process ended with {os.waitstatus_to_exitcode(status)}"))
        done += 1
    return done, failures


def _child(pipe: int, reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int]) -> None:
    """Writes a line a case: empty, or what is wrong."""
    faulthandler.disable()  # a crash is told by how the process ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    space = _field("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (space + MEMORY + (1 << 30),) * 2)
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(devnull, stream)
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            case = Path(folder) / "case"
            shutil.rmtree(case, ignore_errors=True)
            shutil.copytree(seeds / reader, case)
            damage(case, reader, seed, number)
            os.write(pipe, one_case(read, case).encode("utf-8", "replace").replace(b"\n", b" ") + b"\n")


def one_case(read: Read, folder: Path) -> str:
    """Returns what is wrong with how a reader ends, "" where nothing is."""
    before = _reset_peak()
    begun = time.monotonic()
    problem = ""
    try:
        read(folder)
    except VqaGsError as error:
        text = str(error)
        if len(text) > 8000 or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            problem = f"the error is no line: {text[:200]!a}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {str(error)[:200]!a} at {where.filename}:{where.lineno}"
    taken, memory = time.monotonic() - begun, _field("VmHWM") - before
    if not problem and taken > SECONDS:
        problem = f"took {taken:.0f} s"
    if not problem and memory > MEMORY:
        problem = f"took {memory >> 20} MB"
    return problem


def _reset_peak() -> int:
    """Begins to count the peak of memory anew; returns what is taken now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _field("VmRSS")


def _field(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0


def fuzz(
    readers: dict[str, Read], seeds: Path, seed: int, seconds: float, first: int = 0, most: int | None = None
) -> tuple[dict[str, int], list[Failure]]:
    """Runs cases of all readers in turn until the time is over, or each has had its most.

    Returns:
        The number of cases of each reader, and the failures.
    """
    ends, done = time.monotonic() + seconds, dict.fromkeys(readers, 0)
    sizes = dict.fromkeys(readers, _LEAST)
    failures: list[Failure] = []
    while most is None or min(done.values()) < most:
        for name, read in readers.items():
            begun = time.monotonic()
            if begun >= ends:
                return done, failures
            start = first + done[name]
            size = sizes[name] if most is None else min(sizes[name], most - done[name])
            failures += run_cases(name, read, seeds, seed, range(start, start + size))
            done[name] += size
            # As many cases as take some seconds: a process for each of them, and its helpers, cost more than they do.
            taken = time.monotonic() - begun
            sizes[name] = min(_MOST, 2 * sizes[name]) if taken < 2 else max(_LEAST, sizes[name] // 2)
    return done, failures
