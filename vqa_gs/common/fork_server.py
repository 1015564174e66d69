"""A process that has imported what a script needs, and forks: each fork reads one stranger's file, and ends.

`helper_process` answers questions from one process; here each file has a process of its own, with limits of its own
and nothing in its memory from files before, and still does not wait for the imports, which take half a second.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vqa_gs.common.errors import VqaGsError

_SERVER = Path(__file__).with_name("fork_server_process.py")


class ForkServerLost(VqaGsError):
    """The server did not start, or ended."""


class ForkServer:
    """Starts forks; any number of threads may ask. It starts on first use and ends with this process.

    Args:
        script: a file with the functions ``prepare`` (imports, and nothing else) and ``main`` (what a fork does, its
            results written to standard output), and ``MEMORY``, the bytes a fork may have. It imports nothing of this
            package.
        ready_for: the words ``prepare`` is given.
    """

    def __init__(self, script: Path, *ready_for: str) -> None:
        self._words = [str(script), *ready_for]
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._owner = 0

    def start(self, words: Sequence[str]) -> Fork:
        """Returns a fork that runs ``main`` with some words.

        Raises:
            ForkServerLost: there is none, tried twice.
        """
        with self._lock:
            for _ in range(2):
                # After a fork of this process the socket is the parent's.
                if self._control is None or self._owner != os.getpid():
                    self._control, self._owner = self._connect(), os.getpid()
                pipe, output = os.pipe()
                try:
                    content = json.dumps(list(words)).encode("ascii") + b"\n"
                    socket.send_fds(self._control, [content[:1]], [output])
                    self._control.sendall(content[1:])
                    return Fork(self, self._control, self._number(self._control), pipe)
                except OSError:
                    os.close(pipe)
                    self._control.close()
                    self._control = None
                finally:
                    os.close(output)
        raise ForkServerLost("the process that reads it ended before it began")

    @staticmethod
    def _number(control: socket.socket) -> int:
        content = b""
        while not content.endswith(b"\n"):
            piece = control.recv(32)
            if not piece:
                raise BrokenPipeError
            content += piece
        return int(content)

    def _connect(self) -> socket.socket:
        ours, its = socket.socketpair()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # others reserve more than they use
        with its:
            self._process = subprocess.Popen(
                [sys.executable, str(_SERVER), *self._words],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return ours

    def end(self, control: socket.socket, number: int) -> None:
        """Ends a fork, and returns when it has ended; for `Fork`."""
        with self._lock, suppress(OSError):
            # A server that is gone, or is the parent's, has ended its forks or will.
            if control is self._control and self._owner == os.getpid():
                control.sendall(b"%d\n" % number)
                self._number(control)


class Fork:
    """A process that a server forked.

    Attributes:
        pipe: the descriptor its results are read from, closed by `close`.
    """

    def __init__(self, server: ForkServer, control: socket.socket, number: int, pipe: int) -> None:
        self._server, self._control, self._number, self.pipe = server, control, number, pipe
        self._open = True

    def close(self) -> None:
        """Ends the process, whatever it is at; again does nothing."""
        if self._open:
            self._open = False
            os.close(self.pipe)
            self._server.end(self._control, self._number)
