"""A first look at a foreign HDF5 file from a process of its own.

HDF5's older layouts, which public files have, carry no checksums: on damaged structure the library may crash,
ask for terabytes or search for ever, and Python cannot interrupt it. So a helper process looks first, each file in a
fork of its own with limits on time and memory; only a file that it got through is opened here. The helper starts
on first use and ends with this process.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import require_file

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

SECONDS = 120
"""How long looking at one file's structure may take; on a healthy one it takes milliseconds."""

_HELPER = Path(__file__).with_name("probe_process.py")


@dataclass(frozen=True)
class Hdf5Facts:
    """What an HDF5 file holds.

    Attributes:
        format: the root attribute ``format`` where it is text, else "".
        datasets: the root group's datasets: their axes by name.
    """

    format: str
    datasets: dict[str, tuple[int, ...]]


def look(path: Path) -> Hdf5Facts:
    """Returns what an HDF5 file holds, once it is known that HDF5 can walk through its structure.

    Raises:
        DataError: the file is missing, not HDF5, damaged or truncated.
    """
    file = require_file(path, "feature")
    with open(file, "rb") as handle:
        if handle.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise DataError("not an HDF5 file, or damaged at its beginning", file=file)
    answer = _Helper.ask(os.path.abspath(file))
    if "error" in answer:
        raise DataError(f"damaged or truncated: {answer['error']}", file=file, mend="fetch the file again")
    return Hdf5Facts(answer["format"], {name: tuple(shape) for name, shape in answer["datasets"].items()})


class _Helper:
    """The process; restarted where it was lost."""

    _lock = threading.Lock()
    _process: subprocess.Popen[bytes] | None = None
    _owner = 0

    @classmethod
    def ask(cls, path: str) -> dict[str, Any]:
        with cls._lock:
            process = cls._process
            if process is None or cls._owner != os.getpid() or process.poll() is not None:
                process = cls._process = cls._start()
                cls._owner = os.getpid()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps([path, SECONDS]).encode("ascii") + b"\n")
                process.stdin.flush()
                # The helper keeps to the time itself; this is for the case that it is lost.
                ready, _, _ = select.select([process.stdout], [], [], SECONDS + 30)
                line = process.stdout.readline() if ready else b""
            except OSError:
                line = b""
            if not line:
                process.kill()
                process.wait()
                cls._process = None
                return {"error": "the process that looks at HDF5 files ended without an answer"}
            return json.loads(line)

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, str(_HELPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
