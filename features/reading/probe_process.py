"""The process that looks at HDF5 files for ``probe``: JSON in (path, seconds), JSON out; run as a script."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import struct
import sys
from typing import Any

_MEMORY = 8 << 30
# Of a processor: a busy machine or a slow disk costs a healthy file none of it, and the largest take less than two.
_CPU_SECONDS = 10
_MOST_NAMES = 256
_MOST_GROUPS = 4


def describe(path: str) -> dict[str, Any]:
    """Walks through a file's structure, the index of its chunks included."""
    import h5py

    datasets: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    with h5py.File(path, "r") as file:
        found = file.attrs.get("format", "")
        for name in list(file)[:_MOST_NAMES]:
            # A link into another file is none of this file's content.
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                continue
            item = file[name]
            if isinstance(item, h5py.Group) and len(groups) < _MOST_GROUPS:
                groups[name] = list(item)[:_MOST_NAMES]
            if not isinstance(item, h5py.Dataset) or item.dtype.hasobject or item.dtype.names:
                continue
            if item.chunks is not None:
                item.id.get_num_chunks()
            else:
                item.id.get_offset()
            datasets[name] = item.shape
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    return {"format": text if isinstance(text, str) else "", "datasets": datasets, "groups": groups}


def _answer_in_fork(path: str, seconds: float) -> bytes:
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _limit(resource.RLIMIT_CPU, _CPU_SECONDS)
        try:
            answer = describe(path)
        except BaseException as error:  # damaged HDF5 makes h5py raise nearly anything
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(target, "wb") as pipe:
            pipe.write(json.dumps(answer).encode("ascii"))
        os._exit(0)
    os.close(target)
    pieces = []
    with os.fdopen(source, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], seconds)
            piece = pipe.read(1 << 16) if ready else b""
            if not ready:
                os.kill(child, signal.SIGKILL)
                pieces = [json.dumps({"error": f"HDF5 did not find its way in {seconds:g} s"}).encode("ascii")]
            if not piece:
                break
            pieces.append(piece)
    _, status = os.waitpid(child, 0)
    if not pieces:
        ended = os.WTERMSIG(status)
        long = f"HDF5 did not find its way in {_CPU_SECONDS} s of a processor"
        pieces = [json.dumps({"error": long if ended == signal.SIGXCPU else f"HDF5 crashed (signal {ended})"}).encode()]
    return b"".join(pieces)


def _limit(what: int, most: int) -> None:
    soft, hard = resource.getrlimit(what)
    if soft == resource.RLIM_INFINITY or soft > most:  # else what we live under is tighter
        resource.setrlimit(what, (most, hard))


def main() -> None:
    """Answers until standard input ends."""
    # The script's folder must not shadow what h5py imports.
    sys.path.pop(0)
    import h5py  # noqa: F401 - imported once, before the forks

    _limit(resource.RLIMIT_AS, _MEMORY)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while head := sys.stdin.buffer.read(8):
        path, seconds = json.loads(sys.stdin.buffer.read(*struct.unpack("<Q", head)))
        answer = _answer_in_fork(path, seconds)
        sys.stdout.buffer.write(struct.pack("<Q", len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
