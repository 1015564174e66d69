"""Long phases tell what they do and how far they are: lines of the logger ``vqa_gs``, on a terminal and in a file."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vqa_gs.common.files import append_text
from vqa_gs.common.terminal import printable

LOG = logging.getLogger("vqa_gs")

# Seconds until a phase first tells where it stands; then it tells ever more rarely.
_FIRST, _LONGEST = 5.0, 60.0


class Phase:
    """How far a phase is. Calling it counts what has been done. Where it ``has_bar``, a terminal is told no lines.

    Args:
        what: what is done, as in "scoring ood_test".
        total: of how many; None where that is not known.
        unit: of what.
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.note = ""
        self.has_bar = False

    def __call__(self, count: int) -> None:
        """Counts what has been done."""
        self.done += count

    def at(self, done: int, total: int | None) -> None:
        """Takes over how far it is from something that counts by itself."""
        self.done, self.total = done, total

    def line(self, seconds: float) -> str:
        """Returns where it stands, as a line."""
        total = f" of {self.total:,}" if self.total else ""
        far = f": {self.done:,}{total} {self.unit}".rstrip() if self.total or self.done else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.what}{far}, after {seconds:.0f} s{note}"


# Those of all threads, in the order in which they began.
_RUNNING: list[Phase] = []


@contextmanager
def phase(what: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
    """A block that tells, once it has taken five seconds, that it goes on, and at last how long it took.

    A thread tells it, so that the block need not do anything for it. Of phases within each other the innermost tells.
    Of a block that ends with an error nothing more is told.

    Args:
        what: what is done, as in "scoring ood_test".
        total: of how many.
        unit: of what.

    Yields:
        What counts how far it is.
    """
    far, ended, start = Phase(what, total, unit), threading.Event(), time.monotonic()

    def watch() -> None:
        wait = _FIRST
        while not ended.wait(wait):
            if _RUNNING[-1] is not far:
                wait = _FIRST
                continue
            LOG.info("%s", far.line(time.monotonic() - start), extra={"has_bar": far.has_bar})
            wait = min(2 * wait, _LONGEST)

    if not LOG.isEnabledFor(logging.INFO):
        yield far
        return
    _RUNNING.append(far)
    thread = threading.Thread(target=watch, name="phase", daemon=True)
    thread.start()
    try:
        yield far
    finally:
        ended.set()
        thread.join()
        _RUNNING.remove(far)
    taken = time.monotonic() - start
    if taken >= _FIRST:
        LOG.info("%s: %.0f s", what, taken, extra={"has_bar": far.has_bar})


class StderrHandler(logging.Handler):
    """Prints lines to whatever standard error is at that moment: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one line, but for what a bar tells already."""
        if getattr(record, "has_bar", False):
            return
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
