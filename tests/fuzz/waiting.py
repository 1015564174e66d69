"""How long processes waited for a processor: on a busy machine that is no fault of what they read.

Linux tells it of every thread, in the second number of ``schedstat``; where it does not, nothing was waited.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def own_wait() -> float:
    """Returns the seconds that this process and its children that live have waited, ever."""
    here = _PROC / "self" / "task"
    children = [child for task in _listed(here) for child in _text(here / task / "children").split()]
    return sum(_wait(name) for name in ("self", *children))


def group_wait(group: int) -> float:
    """Returns the seconds that the processes of a group that live have waited, ever."""
    return sum(_wait(name) for name in _listed(_PROC) if name.isdigit() and _group(name) == group)


def _group(name: str) -> int:
    # What a program is called stands in brackets and may hold anything.
    fields = _text(_PROC / name / "stat").rpartition(")")[2].split()
    return int(fields[2]) if len(fields) > 2 else -1


def _wait(name: str) -> float:
    total = 0
    for task in _listed(_PROC / name / "task"):
        numbers = _text(_PROC / name / "task" / task / "schedstat").split()
        total += int(numbers[1]) if len(numbers) > 1 else 0
    return total / 1e9


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it has ended meanwhile
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
