"""The words of a command line as they may be written: dashes or underscores, lists of one without brackets."""

from __future__ import annotations

import json
from argparse import Action
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from vqa_gs.common.errors import UsageError
from vqa_gs.common.spelling import did_you_mean, one_spelling


def understood(words: Sequence[str], flags: Mapping[str, Action], positionals: bool, prog: str) -> list[str]:
    """Returns the words as the parser reads them.

    Args:
        words: as they were written.
        flags: the parser's options by flag.
        positionals: whether words without a flag mean something by themselves, so that a list must not take them.
        prog: the command, for messages.

    Raises:
        UsageError: there is no such option.
    """
    spelled = {one_spelling(flag): flag for flag in flags}
    out: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("--") or word == "--":
            out.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = name if name in flags else spelled.get(one_spelling(name))
        if flag is None:
            if not _is_part(name, flags):
                raise UsageError(f"there is no option {name}", mend=_mend(name, flags, prog))
            out.append(word)
            continue
        item = _item_of_list(flags[flag])
        if item is None or flag.endswith("+"):
            out.append(f"{flag}{equals}{value}")
            continue
        values = [value] if equals else []
        while not equals and at < len(words) and not words[at].startswith("--") and (not values or not positionals):
            values.append(words[at])
            at += 1
        out.append(flag if not values else f"{flag}={_as_list(values, item)}")
    return out


def _is_part(name: str, flags: Mapping[str, Action]) -> bool:
    """Whether a flag is of a setting inside of another one, which the parser knows as it meets it."""
    parts = name.split(".")
    outer = [".".join(parts[:count]) for count in range(1, len(parts))]
    return any(type(flags.get(flag)).__name__ == "ActionTypeHint" for flag in outer)


def _mend(name: str, flags: Mapping[str, Action], prog: str) -> str:
    told = [flag for flag in flags if flag.startswith("--") and not flag.endswith(("+", ".help"))]
    close = did_you_mean(name, told)
    if close is None:  # the last part may be right, and its section forgotten
        last = one_spelling(name.lstrip("-"))
        close = next((flag for flag in told if one_spelling(flag.rpartition(".")[2]) == last), None)
    return f"did you mean {close}?" if close else f"see `{prog} --help`"


def _item_of_list(action: Action) -> Any:
    """Returns the type of the items of an option that takes one list; None for other options."""
    kind: Any = getattr(action, "_typehint", None)
    if kind is None or action.nargs is not None:
        return None
    for one in (kind, *get_args(kind)):
        if get_origin(one) is list:
            return (get_args(one) or (str,))[0]
    return None


def _as_list(values: Sequence[str], item: Any) -> str:
    if len(values) == 1 and (values[0].strip().startswith("[") or values[0] in ("null", "")):
        return values[0]
    return json.dumps(list(values), ensure_ascii=False) if item is str else f"[{', '.join(values)}]"
