"""Builders, selections and sources of evidence: a function each, with settings of its own, found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vqa_gs.common.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Part(Generic[F]):
    """A registered function.

    Attributes:
        name: what it is found by.
        Settings: a frozen dataclass of plain typed fields, all with defaults: the command line makes `--NAME.option` of
            them, and their descriptions from its docstring.
        function: the function itself.
    """

    name: str
    Settings: type[Any]
    function: F

    @property
    def option(self) -> str:
        """What its options begin with."""
        return self.name.replace("-", "_")


def register(registry: Registry[Any], name: str, settings: type[Any], part: type[Part[Any]] = Part) -> Callable[[F], F]:
    """Returns a decorator that registers a function with its settings and leaves it as it is."""

    def add(function: F) -> F:
        registry.register(name)(part(name, settings, function))
        return function

    return add
