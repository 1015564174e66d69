"""Where a setting has parts, its parts are given: checked before a parser sees what a file says.

The parser takes a text in the place of such a setting for the name of a class, which it imports, or for another file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from vqa_gs.common.errors import DataError


def require_parts(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raises DataError where a setting that has parts is given as anything but a mapping of them.

    Args:
        values: settings as a file gives them.
        kinds: the type of each; settings that it does not know are left to the parser.
    """
    for name, value in values.items():
        if name == "config":
            raise DataError("a configuration does not name others", record=str(name), mend="put it together")
        for record, problem in _problems(value, kinds.get(name), str(name)):
            raise DataError(problem, record=record, mend="expected its parts, as `section.field` or indented")


def parts_of(kind: type) -> dict[str, Any]:
    """Returns the types of a dataclass's fields."""
    return get_type_hints(kind)


def _problems(value: Any, kind: Any, record: str) -> Iterator[tuple[str, str]]:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    parts = [one for one in kinds if dataclasses.is_dataclass(one)]
    if parts and value is not None:
        if not isinstance(value, Mapping):
            yield record, f"is {str(value)[:60]!r}, where settings of its own belong"
            return
        known: dict[str, Any] = {name: hint for one in parts for name, hint in parts_of(one).items()}  # type: ignore[arg-type]
        for name, inner in value.items():
            if "." in str(name):
                yield f"{record}.{name}", "is a name with a dot in the place of a setting's"
            yield from _problems(inner, known.get(name), f"{record}.{name}")
        return
    for one in kinds:
        arguments = get_args(one)
        if get_origin(one) is dict and arguments:
            if isinstance(value, str) and _has_parts(arguments[1]):
                yield record, f"is {value[:60]!r}, where settings of its own belong"
            for name, inner in value.items() if isinstance(value, Mapping) else ():
                yield from _problems(inner, arguments[1], f"{record}.{name}")
        elif get_origin(one) in (list, tuple) and arguments:
            for place, inner in enumerate(value) if isinstance(value, list) else ():
                yield from _problems(inner, arguments[0], f"{record}.{place}")


def _has_parts(kind: Any) -> bool:
    return any(dataclasses.is_dataclass(one) for one in (kind, *get_args(kind)))
