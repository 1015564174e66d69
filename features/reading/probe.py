"""A first look at a foreign HDF5 file from a process of its own.

HDF5's older layouts, which public files have, carry no checksums: on damaged structure the library may crash,
ask for terabytes or search for ever, and Python cannot interrupt it. So a helper process looks first, each file in a
fork of its own with limits on time and memory; only a file that it got through is opened here. The helper starts
on first use and ends with this process.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file
from vqa_gs.common.helper_process import HelperLost, HelperProcess

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

SECONDS = 120
"""How long looking at one file's structure may take; on a healthy one it takes milliseconds."""

# The helper keeps to the time itself; its own is for the case that it is lost.
_HELPER = HelperProcess(Path(__file__).with_name("probe_process.py"), SECONDS)


@dataclass(frozen=True)
class Hdf5Facts:
    """What an HDF5 file holds.

    Attributes:
        format: the root attribute ``format`` where it is text, else "".
        datasets: the root group's datasets: their axes by name.
        groups: its first groups: the names of what they hold.
    """

    format: str
    datasets: dict[str, tuple[int, ...]]
    groups: dict[str, list[str]] = field(default_factory=dict)


def look(path: Path) -> Hdf5Facts:
    """Returns what an HDF5 file holds, once it is known that HDF5 can walk through its structure.

    Raises:
        DataError: the file is missing, not HDF5, damaged or truncated.
    """
    file = require_file(path, "feature")
    with open(file, "rb") as handle:
        if handle.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise DataError("not an HDF5 file, or damaged at its beginning", file=file)
    state = file.stat()
    about = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    try:
        answer = _looked(os.path.abspath(file), about)
    except HelperLost as error:
        answer = {"error": error.problem}
    if "error" in answer:
        raise DataError(f"damaged or truncated: {answer['error']}", file=file, mend="fetch the file again")
    datasets = {name: tuple(shape) for name, shape in answer["datasets"].items()}
    return Hdf5Facts(answer["format"], datasets, answer["groups"])


@lru_cache(maxsize=64)
def _looked(path: str, about: tuple[int, ...]) -> dict[str, Any]:
    """Returns the helper's answer; it is asked once about a file that did not change, which several formats look at."""
    answer: dict[str, Any] = json.loads(_HELPER.ask(json.dumps([path, SECONDS]).encode("ascii")))
    return answer
