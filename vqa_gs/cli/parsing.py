"""What several commands share: parsers with sub-commands, progress bars."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqa_gs.cli.given import understood
from vqa_gs.cli.help import columns, page
from vqa_gs.common.checks import require_seed, short_number
from vqa_gs.common.errors import UsageError
from vqa_gs.common.spelling import chosen, did_you_mean

Handler = Callable[[Sequence[str]], None]

# A parser quotes what it cannot read, which may be a whole file.
_LONGEST = 300
# What the parser says of a setting in a file that is none.
_UNKNOWN = re.compile(r"(?:Group '([\w.]+)' does not accept option|Option) '([\w.]+)'")


class Listed(BaseException):
    """What a command takes, when it is asked for that instead of being run; see `listing`.

    Attributes:
        flags: of a command.
        commands: of a group of commands.
    """

    def __init__(self, flags: Sequence[str] = (), commands: Sequence[str] = ()) -> None:
        super().__init__()
        self.flags, self.commands = flags, commands


class _State:
    """How the command line is used at this moment.

    Attributes:
        quiet: no bars, no remarks.
        listing: commands tell what they take.
    """

    quiet = False
    listing = False


STATE = _State()


@contextmanager
def listing() -> Iterator[None]:
    """A block in which a command raises `Listed` in place of running."""
    STATE.listing = True
    try:
        yield
    finally:
        STATE.listing = False


class Parser(ArgumentParser):
    """A parser that tells of a bad word in one line, as every other error is told.

    Attributes:
        example: command lines that its help ends with.
        common: options with a dot that its help tells; None: all.
        titles: headings in its help, by the `dest` of options.
    """

    example: str = ""
    common: Collection[str] | None = None
    titles: dict[str, str]

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises `UsageError` with what the parser found, in one line."""
        text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split())).replace("typing.", "")
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}..."
        # The parts of a setting have parsers of their own, made by the outer one, which names the command.
        mend = f"see `{self.prog} --help`" if self._is_command else None
        unknown = _UNKNOWN.search(text)
        if unknown:
            close = did_you_mean(".".join(filter(None, unknown.groups())), [action.dest for action in self._actions])
            mend = f"did you mean {close}?" if close else mend
        raise UsageError(text, mend=mend) from ex

    @property
    def _is_command(self) -> bool:
        return self.prog.startswith("vqa-gs")

    def parse_args(self, args: Any = None, *words: Any, **options: Any) -> Any:
        """Parses, and tells of a configuration that is no text as of any other bad one."""
        if self._is_command:
            args = self._understood(list(args or ()))
        try:
            given = super().parse_args(args, *words, **options)
        except UnicodeDecodeError as error:
            self.error(f"the configuration is not text in UTF-8: {error}", error)
        for name, value in given.as_flat().__dict__.items():
            if name.rpartition(".")[2] in ("seed", "seeds"):
                for seed in value if isinstance(value, list) else [value]:
                    if isinstance(seed, int):
                        require_seed(seed, f"--{name}")
        return given

    def _understood(self, words: list[str]) -> list[str]:
        if STATE.listing:
            raise Listed(flags=[*self._option_string_actions, "--help-all"])
        if {"-h", "--help", "--help-all"} & set(words):
            print(self.help_page("--help-all" in words))
            raise SystemExit(0)
        positionals = any(not action.option_strings for action in self._actions)
        return understood(words, self._option_string_actions, positionals, self.prog)

    def help_page(self, everything: bool = False) -> str:
        """Returns the page of `--help`, or of `--help-all`."""
        common = None if everything else self.common
        return page(self.prog, self.description or "", self._actions, self.titles, self.example, common)

    def titled(self, title: str, *names: str) -> None:
        """Puts options, by their `dest`, under a heading of the help."""
        self.titles |= dict.fromkeys(names, title)


def new_parser(command: str, description: str, example: str = "", common: Collection[str] | None = None) -> Parser:
    """Returns a parser whose usage line reads `vqa-gs COMMAND`.

    Args:
        command: its words.
        description: what it does.
        example: command lines that help ends with.
        common: options with a dot that help tells, by their `dest`; None: all.
    """
    # Options are not taken by their first letters: `--training.epoch` is a mistake to be told, not a guess to be made.
    parser = Parser(prog=f"vqa-gs {command}", description=description, allow_abbrev=False)
    parser.example, parser.common, parser.titles = example, common, {}
    return parser


def require_count(option: str, number: int, least: int = 1, most: int = 1_000_000) -> None:
    """Raises UsageError where an option asks for fewer or more than makes sense."""
    if not least <= number <= most:
        raise UsageError(f"{option} must be from {least} to {most:,}, not {short_number(number)}")


def dispatch(command: str, handlers: dict[str, Handler], words: Sequence[str]) -> None:
    """Hands the words after a sub-command to its handler."""
    if STATE.listing and not words:
        raise Listed(commands=list(handlers))
    if words and words[0] in ("-h", "--help", "--help-all"):
        print(f"usage: vqa-gs {command} COMMAND ...\n")
        told = ((name, (handler.__doc__ or "").strip().partition("\n")[0]) for name, handler in handlers.items())
        print("\n".join(columns(told)))
        print(f"\nvqa-gs {command} COMMAND --help tells a command's options.")
        return
    if not words:
        raise UsageError(f"{command}: a word missing", mend=f"choose one of {', '.join(handlers)}")
    handlers[chosen(words[0], handlers, f"command of `vqa-gs {command}` called")](words[1:])


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar on a terminal's standard error while the block runs; yields `report(done, total)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=STATE.quiet or not console.is_terminal) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def instantiated(parser: ArgumentParser, given: Any) -> Any:
    """Returns what was parsed with settings made of it; newer versions of the parser have another name for that."""
    return parser.instantiate(given) if hasattr(parser, "instantiate") else parser.instantiate_classes(given)
