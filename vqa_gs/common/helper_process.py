"""Helper processes: what may crash, hang or grow on a stranger's bytes does so outside of this process.

A helper is a script that reads a request from standard input and writes an answer to standard output, again and again,
each as its length (8 bytes, little endian) and its bytes. It imports nothing of this package, so that it starts in
milliseconds, and sets its own limits on memory. It is started on first use and ends with this process.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from vqa_gs.common.errors import VqaGsError

_GRACE = 30
_AT_ONCE = 1 << 20


class HelperLost(VqaGsError):
    """The helper crashed, hung, or ran out of memory; the next request starts another one."""


class HelperProcess:
    """A script that answers requests one at a time; any number of threads may ask.

    Args:
        script: the file.
        seconds: how long an answer may take. A helper keeps to a time of its own where it can.
    """

    def __init__(self, script: Path, seconds: float) -> None:
        self._script, self._seconds = script, seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: bytes, seconds: float | None = None) -> bytes:
        """Returns the helper's answer.

        Args:
            request: what it is to answer.
            seconds: how long it may take, if other than usual.

        Raises:
            HelperLost: there was none.
        """
        with self._lock:
            process = self._process
            # After a fork the pipes are the parent's.
            if process is None or self._owner != os.getpid() or process.poll() is not None:
                process = self._process = self._start()
                self._owner = os.getpid()
            ends = time.monotonic() + (self._seconds if seconds is None else seconds) + _GRACE
            try:
                assert process.stdin is not None
                for part in (struct.pack("<Q", len(request)), request):
                    self._write(process.stdin.fileno(), part)
                (size,) = struct.unpack("<Q", self._read(process, 8, ends))
                return self._read(process, size, ends)
            except BaseException as error:
                process.kill()
                status = process.wait()
                self._process = None
                if not isinstance(error, OSError):
                    raise
                if isinstance(error, TimeoutError):
                    raise HelperLost(str(error)) from error
                raise HelperLost(f"the process that reads it ended without an answer (code {status})") from error

    @staticmethod
    def _write(pipe: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(pipe, rest) :]

    @staticmethod
    def _read(process: subprocess.Popen[bytes], size: int, ends: float) -> bytes:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        pieces = []
        while size:
            ready, _, _ = select.select([pipe], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                raise TimeoutError("the process that reads it did not come to an end")
            piece = os.read(pipe, min(size, _AT_ONCE))
            if not piece:
                raise BrokenPipeError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
