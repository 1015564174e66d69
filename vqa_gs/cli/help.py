"""What `--help` prints: the options people use, grouped, with an example; `--help-all` prints every one."""

from __future__ import annotations

import re
import shutil
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Collection, Iterable, Sequence
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

# What an option takes, told by the last word of its name where its type is text.
_TAKES = {
    "FILE": "annotations boxes config counterexamples features grounding hard hints html out pairs plot questions "
    "results store table texts weights model metrics domain list glove",
    "FOLDER": "dir images folder",
    "RUN": "run runs",
}
_TAKES_OF = {word: name for name, words in _TAKES.items() for word in words.split()}
_TYPES = {str: "TEXT", int: "INTEGER", float: "NUMBER", bool: "true|false"}
_COLUMN = 30
_NARROWEST, _WIDEST = 60, 110
_MARKUP = re.compile(r"``([^`]*)``")


def page(
    prog: str,
    description: str,
    actions: Sequence[Action],
    titles: dict[str, str],
    example: str = "",
    common: Collection[str] | None = None,
) -> str:
    """Returns a page of help.

    Args:
        prog: the command, as ``vqa-gs train``.
        description: what it does.
        actions: its options and what stands without a flag.
        titles: headings of groups, by the `dest` of the options in them; options without one stand under "options".
        example: command lines.
        common: options with a dot that are told; of the others only the names are. None: all are told.
    """
    width = text_width()
    shown = [action for action in actions if _is_told(action)]
    plain = [action for action in shown if "." not in action.dest]
    dotted = [action for action in shown if "." in action.dest]
    needed = [action for action in plain if _is_needed(action)]
    usage = f"usage: {_usage(prog, needed)}"
    lines = textwrap.wrap(usage, width, subsequent_indent=" " * 8, break_on_hyphens=False)
    lines += ["", *textwrap.wrap(description, width)]
    groups: dict[str, list[Action]] = {"needed": needed, "options": []}
    for action in plain:
        if action not in needed:
            groups.setdefault(titles.get(action.dest, "options"), []).append(action)
    told = dotted if common is None else [action for action in dotted if action.dest in common]
    brief = common is not None
    for action in told:
        groups.setdefault("settings" if brief else _section(action.dest), []).append(action)
    for title, members in groups.items():
        if members:
            lines += ["", f"{title}:", *(line for action in members for line in _entry(action, width, brief))]
    rest = [action for action in dotted if action not in told]
    if rest:
        lines += ["", "every other setting, explained by --help-all:", *_names(rest, width)]
    if example:
        lines += ["", "example:", *(f"  {line}" for line in example.strip().splitlines())]
    return "\n".join(lines)


def text_width() -> int:
    """Returns how wide text is written: as the terminal, but for very narrow and very wide ones."""
    return min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns))


def takes(action: Action) -> str:
    """Returns what an option takes, in words: ``INTEGER``, ``FILE``, ``a|b``; "" for one that takes nothing."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    kind = getattr(action, "_typehint", None)
    if isinstance(action.metavar, str) and kind is None:
        return action.metavar
    name = _TAKES_OF.get(re.split(r"[._-]", action.dest)[-1], "TEXT")
    text = _words_of(str if kind is None else kind, name)
    if action.nargs in ("+", "*"):
        return f"{text} ..."
    return text


def _words_of(kind: Any, text: str) -> str:
    """Returns a type in words; ``text`` stands for text."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "|".join(map(str, parts))
    if origin in (Union, UnionType):
        return "|".join(dict.fromkeys(_words_of(part, text) for part in parts if part is not NoneType))
    if origin in (list, tuple, Sequence):
        return f"{_words_of(parts[0], text)} ..." if parts else f"{text} ..."
    if origin is dict:
        return f"{{NAME: {_words_of(parts[1], text)}}}"
    if is_dataclass(kind):
        return "{...}"
    return text if kind is str else _TYPES.get(kind, "TEXT")


def _is_told(action: Action) -> bool:
    if action.help == SUPPRESS or action.dest.endswith(".help") or "--print_config" in action.option_strings:
        return False
    # A section's own flag reads a file of its settings, which the flag --config does for all of them.
    return type(action).__name__ != "_ActionConfigLoad"


def _is_needed(action: Action) -> bool:
    return not action.option_strings or action.required


def _section(dest: str) -> str:
    parts = dest.split(".")
    return ".".join(parts[:2]) if parts[0] == "objectives" and len(parts) > 2 else parts[0]


def _usage(prog: str, needed: Iterable[Action]) -> str:
    words = [_call(action) for action in needed]
    return " ".join([prog, *words, "[options]"])


def _call(action: Action) -> str:
    if action.option_strings:
        return f"{action.option_strings[0]} {takes(action)}".rstrip()
    name = action.dest.upper()
    return f"{name} ..." if action.nargs in ("+", "*") else name


def _entry(action: Action, width: int, brief: bool) -> list[str]:
    flags = [flag for flag in action.option_strings if not flag.endswith("+")]
    if action.dest == "help":
        flags = ["--help", "--help-all"]
    call = ", ".join(flags) + (f" {takes(action)}" if takes(action) else "") if flags else _call(action)
    text = _explained(action, brief)
    body = textwrap.wrap(text, width - _COLUMN) or [""]
    head = f"  {call}"
    if len(head) >= _COLUMN - 1:
        return [head, *(" " * _COLUMN + line for line in body if line)]
    return [f"{head:<{_COLUMN}}{body[0]}".rstrip(), *(" " * _COLUMN + line for line in body[1:])]


def _explained(action: Action, brief: bool) -> str:
    """Returns what an option means and its default; of several sentences the first, where it is to be brief."""
    if action.dest == "help":
        return "this page; every setting"
    text = _MARKUP.sub(r"\1", action.help or "").strip().rstrip(".")
    if brief:
        text = text.partition(". ")[0]
    default = action.default
    if default is not None and default is not SUPPRESS and default not in ("", False, [], {}) and "default" not in text:
        text += f" ({_value(default)})"
    return text


def _value(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:.4g}"
    return " ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)


def _names(actions: Sequence[Action], width: int) -> list[str]:
    """Returns the names of options, a paragraph a section."""
    sections: dict[str, list[str]] = {}
    for action in actions:
        top = action.dest.split(".")[0]
        rest = action.dest.split(".")[1:]
        # Of parts with settings each, as the terms of a loss, the parts are named.
        name = rest[0]
        if name not in sections.setdefault(top, []):
            sections[top].append(name)
    lines = []
    for top, names in sections.items():
        more = ".NAME.*" if top == "objectives" else ".*"
        text = f"--{top}{more}: {', '.join(names)}"
        lines += textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    return lines


def columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Returns names with their explanations behind them, lines wrapped."""
    listed = list(rows)
    wide = max(len(name) for name, _ in listed) + 4
    width = text_width()
    lines = []
    for name, text in listed:
        body = textwrap.wrap(text, max(20, width - wide)) or [""]
        lines += [f"  {name:<{wide - 2}}{body[0]}", *(" " * wide + line for line in body[1:])]
    return lines
