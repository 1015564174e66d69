"""Registered parts: an objective, a pair builder or a format is one file, found by its name."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Generic, TypeVar

from vqa_gs.common.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Parts by name, discovered in the modules of one package.

    Adding a part is adding a file: every module of ``package`` whose name does not start with an underscore is
    imported on first use, and registers what it defines.

    Args:
        what: what the parts are, for messages ("objective").
        package: the package whose modules hold them ("vqa_gs.objectives").
    """

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self.package = package
        self._parts: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that files its argument under ``name``."""

        def add(part: T) -> T:
            if self._parts.get(name, part) is not part:
                raise ValueError(f"two {self.what}s are called {name!r}")
            self._parts[name] = part
            return part

        return add

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for module in pkgutil.iter_modules(import_module(self.package).__path__):
            if not module.name.startswith("_"):
                import_module(f"{self.package}.{module.name}")

    def names(self) -> list[str]:
        """Returns the names, sorted."""
        self._discover()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._parts:
            raise UsageError(
                f"there is no {self.what} called {name!r}", mend=f"choose one of {', '.join(self.names())}"
            )
        return self._parts[name]
