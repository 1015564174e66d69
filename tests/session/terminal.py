"""Commands in a pseudo-terminal: what they write to it, and what then stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# A screen that nothing scrolls off; what is told of its height to commands is that of a usual one.
_LINES, _HEIGHT = 4000, 40
_CTRL_C = b"\x03"
_LONGEST = 600.0


@dataclass(frozen=True)
class Said:
    """What a command left behind.

    Attributes:
        raw: all it wrote, escapes included.
        code: its exit status.
        seconds: how long it took.
    """

    raw: bytes
    code: int
    seconds: float

    def screen(self, width: int) -> list[str]:
        """Returns the lines that stand on a terminal of that width in the end."""
        import pyte

        screen = pyte.Screen(width, _LINES)
        pyte.ByteStream(screen).feed(self.raw)
        lines = [line.rstrip() for line in screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def run(
    words: Sequence[str],
    width: int,
    environment: Mapping[str, str] | None = None,
    interrupted: Callable[[bytes], bool] | None = None,
) -> Said:
    """Runs a command in a terminal of its own.

    Args:
        words: the command line.
        width: columns of the terminal.
        environment: beside this process's.
        interrupted: whether Ctrl-C is pressed, given what it has written so far; it is pressed once.
    """
    begun = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the background it may be ignored, and that is inherited
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, width, 0, 0))
        # These go before a terminal's own size, and a test's process may have them.
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        os.execvpe(words[0], list(words), {**inherited, "TERM": "xterm-256color", **(environment or {})})
    raw = b""
    while time.monotonic() - begun < _LONGEST:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                part = os.read(terminal, 1 << 16)
            except OSError:  # its last process has closed it
                break
            if not part:
                break
            raw += part
        if interrupted is not None and interrupted(raw):
            time.sleep(0.3)  # what was being written then is written
            os.write(terminal, _CTRL_C)
            interrupted = None
    os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    return Said(raw, os.waitstatus_to_exitcode(status), time.monotonic() - begun)
