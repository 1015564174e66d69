"""Texts of strangers on a terminal: what would move its cursor, change its title or its colours is shown, not done."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

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

    @property
    def below(self) -> TextIO:
        """The stream itself, for those who make what they print harmless themselves."""
        return self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def page(piped: int = 120) -> Console:
    """Returns where tables are printed: standard output, as wide as the terminal, bold there and nowhere else.

    Tables hold texts of strangers: control characters in them are printed as escapes; only styles are the console's.
    With ``NO_COLOR`` in the environment (https://no-color.org) there are none of these either.

    Args:
        piped: columns where it is no terminal.
    """
    # Imported here: most commands print no table.
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class Harmless:
        """Something printed with its control characters as escapes."""

        def __init__(self, shown: Any) -> None:
            self._shown = shown

        def __rich_console__(self, console: Console, options: Any) -> Any:
            for text, style, control in console.render(self._shown, options):
                yield Segment(printable(text), style) if control is None else Segment("")

    class Page(Console):
        """Prints all things as harmless ones."""

        def print(self, *shown: Any, **options: Any) -> None:
            """Prints each on lines of its own; a "[" in a text is a "["."""
            for one in shown:
                super().print(Harmless(Text(one) if isinstance(one, str) else one), **options)

    stream = sys.stdout
    while isinstance(stream, PrintableStream):
        stream = stream.below
    plain = not stream.isatty() or bool(os.environ.get("NO_COLOR"))
    return Page(
        file=stream,
        width=None if stream.isatty() else piped,
        color_system=None if plain else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
