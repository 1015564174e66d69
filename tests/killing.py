"""Commands killed at random moments: what stands under a name is whole, and the same command ends as undisturbed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

Contents = dict[str, bytes]


def contents(folder: Path, compared: Callable[[str], bool]) -> Contents:
    """Returns the bytes of the files below a folder, hidden ones left out, whose names are compared."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if compared(name)}


def assert_survives_kills(processes, words, folder: Path, kills: int, seed: int, compared=lambda name: True) -> None:
    """Runs a command undisturbed, then kills it again and again and lets it come to its end.

    Args:
        processes: starts command lines in processes of their own, see `tests.processes`.
        words: returns the words of the command that writes into the folder it is given.
        folder: for both.
        kills: how many.
        seed: of the moments.
        compared: says which of the files, by name, are the same whenever they are made.
    """
    undisturbed, out, rng = folder / "undisturbed", folder / "killed", random.Random(seed)
    begun = time.monotonic()
    for target in (undisturbed, out):
        target.mkdir()
    process = processes.run(*words(undisturbed))
    assert process.returncode == 0, process.stderr
    duration = time.monotonic() - begun
    whole = contents(undisturbed, compared)
    assert whole
    for number in range(kills + 1):
        process = processes.start(*words(out))
        if number < kills:
            time.sleep(rng.uniform(0, duration))
            process.kill()  # unless it was quicker
        code = process.wait()
        assert code in (0, -signal.SIGKILL), process.stderr
        for name, content in contents(out, compared).items():
            assert whole.get(name) == content, f"{name} is not what an undisturbed command writes"
    assert code == 0
    assert contents(out, compared) == whole
    assert [path for path in out.rglob("*") if path.name.endswith(".tmp")] == []
