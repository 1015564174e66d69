"""What several commands share: parsers with sub-commands, progress bars."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqa_gs.common.checks import require_seed, short_number
from vqa_gs.common.errors import UsageError

Handler = Callable[[Sequence[str]], None]

# A parser quotes what it cannot read, which may be a whole file.
_LONGEST = 300


class _Parser(ArgumentParser):
    """A parser that tells of a bad word in one line, as every other error is told."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split())).replace("typing.", "")
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}..."
        # The parts of a setting have parsers of their own, made by the outer one, which names the command.
        mend = f"see `{self.prog} --help`" if self.prog.startswith("vqa-gs") else None
        raise UsageError(text, mend=mend) from ex

    def parse_args(self, *words: Any, **options: Any) -> Any:
        """Parses, and tells of a configuration that is no text as of any other bad one."""
        try:
            given = super().parse_args(*words, **options)
        except UnicodeDecodeError as error:
            self.error(f"the configuration is not text in UTF-8: {error}", error)
        for name, value in given.as_flat().__dict__.items():
            if name.rpartition(".")[2] in ("seed", "seeds"):
                for seed in value if isinstance(value, list) else [value]:
                    if isinstance(seed, int):
                        require_seed(seed, f"--{name}")
        return given


def new_parser(command: str, description: str) -> ArgumentParser:
    """Returns a parser whose usage line reads `vqa-gs COMMAND`."""
    # Options are not taken by their first letters: `--training.epoch` is a mistake to be told, not a guess to be made.
    return _Parser(prog=f"vqa-gs {command}", description=description, allow_abbrev=False)


def require_count(option: str, number: int, least: int = 1, most: int = 1_000_000) -> None:
    """Raises UsageError where an option asks for fewer or more than makes sense."""
    if not least <= number <= most:
        raise UsageError(f"{option} must be from {least} to {most:,}, not {short_number(number)}")


def dispatch(command: str, handlers: dict[str, Handler], words: Sequence[str]) -> None:
    """Hands the words after a sub-command to its handler."""
    names = ", ".join(handlers)
    if words and words[0] in ("-h", "--help"):
        print(f"usage: vqa-gs {command} {{{','.join(handlers)}}} ...")
        return
    if not words or words[0] not in handlers:
        given = f"no {words[0]!r}" if words else "a word missing"
        raise UsageError(f"{command}: {given}", mend=f"choose one of {names}")
    handlers[words[0]](words[1:])


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar on a terminal's standard error while the block runs; yields `report(done, total)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
