"""What several commands share: parsers with sub-commands, progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqa_gs.common.errors import UsageError

Handler = Callable[[Sequence[str]], None]


def new_parser(command: str, description: str) -> ArgumentParser:
    """Returns a parser whose usage line reads `vqa-gs COMMAND`."""
    return ArgumentParser(prog=f"vqa-gs {command}", description=description)


def dispatch(command: str, handlers: dict[str, Handler], words: Sequence[str]) -> None:
    """Hands the words after a sub-command to its handler."""
    names = ", ".join(handlers)
    if words and words[0] in ("-h", "--help"):
        print(f"usage: vqa-gs {command} {{{','.join(handlers)}}} ...")
        return
    if not words or words[0] not in handlers:
        given = f"no {words[0]!r}" if words else "a word missing"
        raise UsageError(f"vqa-gs {command}: {given}", mend=f"choose one of {names}")
    handlers[words[0]](words[1:])


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar on standard error while the block runs; yields `report(done, total)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
