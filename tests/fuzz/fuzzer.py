"""Runs cases in processes of their own and says which of them did not end as they must.

A case ends well where the reader reads, or raises an error meant for the user, of one line without control characters,
within `SECONDS`, those aside in which it waited for a processor that others had, and `MEMORY`. Everything a case does
follows from its reader, seed and number.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Read
from tests.fuzz.waiting import group_wait, own_wait
from vqa_gs.common.errors import VqaGsError

SECONDS = 20.0
MEMORY = 2 << 30
"""Bytes of resident memory that a case may take beside what its process had, and of address space beside that."""

GRACE = 5.0
PATIENCE = 50.0
"""How many times that a case may take that has to wait for a processor."""
_LEAST, _MOST = 25, 2000
_TURN = 2.0, 20.0
"""Seconds a reader's turn takes, at least and at most: a process for it, and its helpers, cost more than cases do."""


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


@dataclass
class Tally:
    """What the cases of a reader took.

    Attributes:
        cases: how many there were.
        seconds: the longest, waiting for a processor aside.
        bytes: the most memory that one took in the process that reads; helpers keep to limits of their own.
    """

    cases: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def add(self, seconds: float, memory: int) -> None:
        """Counts a case."""
        self.cases += 1
        self.seconds, self.bytes = max(self.seconds, seconds), max(self.bytes, memory)


def damage(folder: Path, reader: str, seed: int, number: int) -> Path:
    """Damages one file of a folder; returns which."""
    rng = random.Random(f"{seed} {reader} {number}")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock.mdb")
    victim = rng.choice(files)
    victim.write_bytes(mutated(victim.read_bytes(), victim.name, rng))
    return victim


def run_cases(
    reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int], tally: Tally | None = None
) -> Iterator[Failure]:
    """Runs some cases of a reader, all in one process as long as none fails, and yields those that do.

    Args:
        reader: its name.
        read: what reads a folder.
        seeds: the folder with a healthy folder of every reader.
        seed: of the damage.
        numbers: of the cases.
        tally: what they took is added to it.
    """
    left, tally = list(numbers), tally or Tally()
    while left:
        before = tally.cases
        yield from _in_child(reader, read, seeds, seed, left, tally)
        left = left[tally.cases - before :]


def _in_child(
    reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int], tally: Tally
) -> Iterator[Failure]:
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        # No session of its own: that would leave the priority a session was given behind.
        os.setpgid(0, 0)
        _child(target, reader, read, seeds, seed, numbers)
        os._exit(0)
    os.close(target)
    left, ended = list(numbers), False
    with os.fdopen(source, "rb", buffering=0) as pipe:
        text = b""
        while True:
            ready = _ready(pipe, child)
            piece = pipe.read(1 << 16) if ready else b""
            if not piece:
                ended = ready
                break
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                seconds, memory, problem = line.split(b" ", 2)
                number = left.pop(0)
                tally.add(float(seconds), int(memory))
                if problem:
                    yield Failure(reader, number, problem.decode("utf-8", "replace"))
    # The group: helpers too, which would otherwise wait for a request that a hanging case still holds open.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if left:
        tally.add(0.0 if ended else SECONDS, 0)
        code = os.waitstatus_to_exitcode(status)
        problem = f"its process ended with {code}" if ended else f"took more than {SECONDS:g} s"
        yield Failure(reader, left[0], problem)


def _ready(pipe: BinaryIO, group: int) -> bool:
    """Waits for a line; returns whether there is one, or the end, before a case has taken too long."""
    step = (SECONDS + GRACE) / 5
    taken, waited = 0.0, None
    for _ in range(int(5 * PATIENCE)):
        if select.select([pipe], [], [], step)[0]:
            return True
        before, waited = waited, group_wait(group)
        taken += step if before is None else max(0.0, step - max(0.0, waited - before))
        if taken >= SECONDS + GRACE:
            break
    return False


def _child(pipe: int, reader: str, read: Read, seeds: Path, seed: int, numbers: Sequence[int]) -> None:
    """Writes a line a case: seconds, bytes, and what is wrong, if anything."""
    faulthandler.disable()  # a crash is told by how the process ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    space = _field("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (space + MEMORY + (1 << 30),) * 2)
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(devnull, stream)
    with tempfile.TemporaryDirectory(dir=seeds.parent) as folder:
        for number in numbers:
            case = Path(folder) / "case"
            shutil.rmtree(case, ignore_errors=True)
            shutil.copytree(seeds / reader, case)
            damage(case, reader, seed, number)
            problem, seconds, memory = one_case(read, case)
            line = f"{seconds:.3f} {memory} {problem}".encode("utf-8", "replace")
            os.write(pipe, line.replace(b"\n", b" ") + b"\n")


def one_case(read: Read, folder: Path) -> tuple[str, float, int]:
    """Returns what is wrong with how a reader ends, "" where nothing is, and the seconds and bytes it took."""
    before = _reset_peak()
    begun, waited = time.monotonic(), own_wait()
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
    memory = max(0, _field("VmHWM") - before)
    taken = time.monotonic() - begun
    taken -= min(taken, max(0.0, own_wait() - waited))
    if not problem and taken > SECONDS:
        problem = f"took {taken:.0f} s"
    if not problem and memory > MEMORY:
        problem = f"took {memory >> 20} MB"
    return problem, taken, memory


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
    readers: dict[str, Read],
    seeds: Path,
    seed: int,
    seconds: float,
    first: int = 0,
    most: int | None = None,
    told: Callable[[dict[str, Tally], list[Failure]], None] = lambda tallies, failures: None,
) -> tuple[dict[str, Tally], list[Failure]]:
    """Runs cases of all readers in turn until the time is over, or each has had its most.

    Args:
        readers: by name.
        seeds: as for `run_cases`.
        seed: of the damage.
        seconds: the time.
        first: the number of each reader's first case.
        most: how many cases each is to have; None: as many as there is time for.
        told: hears after each turn of what was done so far, and of the failures in that turn.

    Returns:
        What the cases of each reader took, and the failures.
    """
    ends, tallies = time.monotonic() + seconds, {name: Tally() for name in readers}
    sizes = dict.fromkeys(readers, _LEAST)
    shortest, longest = _TURN
    turn = min(longest, max(shortest, seconds / len(readers) / 10))
    failures: list[Failure] = []
    while most is None or min(tally.cases for tally in tallies.values()) < most:
        for name, read in readers.items():
            begun = time.monotonic()
            if begun >= ends:
                return tallies, failures
            done = tallies[name].cases
            size = sizes[name] if most is None else min(sizes[name], most - done)
            numbers = range(first + done, first + done + size)
            found = list(run_cases(name, read, seeds, seed, numbers, tallies[name]))
            failures += found
            told(tallies, found)
            taken = time.monotonic() - begun
            sizes[name] = min(_MOST, 2 * sizes[name]) if taken < turn else max(_LEAST, sizes[name] // 2)
    return tallies, failures
