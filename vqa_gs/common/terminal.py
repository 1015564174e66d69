"""Texts of strangers on a terminal: what would move its cursor, change its title or its colours is shown, not done."""

from __future__ import annotations

import re
from typing import Any, TextIO

# C0 but for tab and line feed, DEL, C1, and the marks that turn the direction of writing around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Returns a text with its control characters as escapes, ``\x1b`` say."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


class PrintableStream:
    """A stream for what is printed of data; no terminal to whoever asks, so that nobody adds escapes of his own.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text with its control characters as escapes."""
        self._stream.write(printable(text))
        return len(text)

    def isatty(self) -> bool:
        """Returns that it is none."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
