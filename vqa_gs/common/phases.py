"""Long phases tell what they do and how far they are: lines of the logger ``vqa_gs``, on a terminal and in a file."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vqa_gs.common.files import append_text
from vqa_gs.common.terminal import printable

LOG = logging.getLogger("vqa_gs")

# Seconds until a phase first tells where it stands; then it tells ever more rarely.
_FIRST, _LONGEST = 5.0, 60.0


@contextmanager
def phase(what: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """A block that tells, once it has taken five seconds, that it goes on, and at last how long it took.

    A thread tells it, so that the block need not do anything for it.

    Args:
        what: what is done, as in "scoring ood_test".
        total: of how many.
        unit: of what.

    Yields:
        A function that counts what has been done.
    """
    done, ended, start = 0, threading.Event(), time.monotonic()

    def advance(count: int) -> None:
        nonlocal done
        done += count

    def watch() -> None:
        wait = _FIRST
        while not ended.wait(wait):
            far = f": {done:,} of {total:,} {unit}".rstrip() if total else ""
            LOG.info("%s%s, after %.0f s", what, far, time.monotonic() - start)
            wait = min(2 * wait, _LONGEST)

    if not LOG.isEnabledFor(logging.INFO):
        yield advance
        return
    thread = threading.Thread(target=watch, name="phase", daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        ended.set()
        thread.join()
        taken = time.monotonic() - start
        if taken >= _FIRST:
            LOG.info("%s: %.0f s", what, taken)


class StderrHandler(logging.Handler):
    """Prints lines to whatever standard error is at that moment: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one line."""
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


class FileHandler(logging.Handler):
    """Appends lines with their time to a file, which may be named only after the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._path: Path | None = None

    def open(self, path: Path) -> None:
        """Names the file."""
        self._path = path
        self._write()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line, or keeps it until there is a file."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        self._waiting.append(f"{stamp} {record.getMessage()}\n")
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            # A full disk stops the run where it writes what counts; the log is not worth it.
            with suppress(OSError):
                append_text(self._path, "".join(self._waiting))
            self._waiting.clear()


@contextmanager
def listening(handler: logging.Handler) -> Iterator[None]:
    """A block whose phases the handler is told of."""
    before = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)
