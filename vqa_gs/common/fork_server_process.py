"""The process behind ``fork_server.ForkServer``: the path of a script and what it prepares for; run as a script.

Standard input is a socket. A request is a line of JSON with a descriptor beside it: the words for the script's
``main``, which a fork of this process calls with the descriptor as its standard output; the answer is a line with its
number. A request without a descriptor names a fork that is to end; the answer, its number again, comes when it has.
When the socket ends all of them do, and this process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any


def _loaded(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("script", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _request(control: socket.socket) -> tuple[Any, list[int]]:
    content, descriptors = b"", []
    while not content.endswith(b"\n"):
        piece, received, _, _ = socket.recv_fds(control, 1 << 16, 1)
        descriptors += received
        if not piece:
            return None, descriptors
        content += piece
    return json.loads(content), descriptors


def _fork(script: Any, words: list[str], output: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(output, 1)
        os.close(output)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        _limit(script.MEMORY)
        try:
            script.main(*words)
            code = 0
        finally:
            sys.stdout.flush()
    finally:
        os._exit(code)


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > memory:  # else what we live under is tighter
        # What is mapped of a file does not count, only what is made of it.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def main() -> None:
    """Forks until the socket ends."""
    # The scripts' folder must not shadow what they import.
    sys.path.pop(0)
    # Ctrl-C reaches the whole group; this process must live to end its forks, which may be beyond hearing it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    script = _loaded(sys.argv[1])
    script.prepare(*sys.argv[2:])
    forks: set[int] = set()
    while True:
        asked, descriptors = _request(control)
        if asked is None:
            break
        if descriptors:
            child = _fork(script, asked, descriptors[0])
            os.close(descriptors[0])
            forks.add(child)
            control.sendall(b"%d\n" % child)
        else:
            # Only this process waits for it, so its number is no other's until then.
            forks.remove(asked)
            os.kill(asked, signal.SIGKILL)
            os.waitpid(asked, 0)
            control.sendall(b"%d\n" % asked)
    for child in forks:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
