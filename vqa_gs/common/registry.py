"""Registered parts: an objective, a pair builder or a format is one file, found by its name.

The files of this project stand in a folder each; a user's own are named by the environment variable ``VQA_GS_PLUGINS``
(files, folders or importable modules, separated as in ``PATH``), or by an installed package under the entry point
``vqa_gs.plugins``.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Generic, TypeVar

from vqa_gs.common.errors import UsageError, VqaGsError
from vqa_gs.common.spelling import mend, one_spelling

T = TypeVar("T")

PLUGINS = "VQA_GS_PLUGINS"
_GROUP = "vqa_gs.plugins"


class Registry(Generic[T]):
    """Parts by name, discovered in the modules of one package and in the user's plug-ins.

    Adding a part is adding a file: every module of ``package`` is imported on first use, and registers what it defines.
    Where that takes long, as importing torch does, the settings of a part may stand in a module of another package,
    which names the part's own: that one is imported when the part is asked for.

    Args:
        what: what the parts are, for messages ("objective").
        package: the package whose modules hold them ("vqa_gs.objectives.terms").
        settings: the package whose modules hold settings that are told of before their parts are imported.
    """

    def __init__(self, what: str, package: str, settings: str | None = None) -> None:
        self.what = what
        self.package = package
        self._settings_package = settings
        self._parts: dict[str, T] = {}
        self._settings: dict[str, type[Any]] = {}
        self._modules: dict[str, str] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that files its argument under ``name``."""

        def add(part: T) -> T:
            home = self._modules.get(name)
            is_other = home is not None and getattr(part, "__module__", home) != home
            if is_other or self._parts.get(name, part) is not part:
                raise self._taken(name)
            self._parts[name] = part
            return part

        return add

    def settings(self, name: str, module: str) -> Callable[[type[Any]], type[Any]]:
        """Returns a decorator that files the settings of a part under its name.

        Args:
            name: the part's.
            module: the one that registers the part, imported when the part itself is asked for.
        """

        def add(settings: type[Any]) -> type[Any]:
            if self._modules.setdefault(name, module) != module:
                raise self._taken(name)
            self._settings[name] = settings
            return settings

        return add

    def settings_of(self, name: str) -> type[Any]:
        """Returns the settings of a part, importing no more than it has to."""
        self._discover()
        if name in self._settings:
            return self._settings[name]
        found: type[Any] = self[name].Settings  # type: ignore[attr-defined]
        return found

    def _taken(self, name: str) -> UsageError:
        return UsageError(f"two {self.what}s are called {name!r}", mend="give one of them another name")

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        if self._settings_package is not None:
            _import_all(self._settings_package, ())
        _import_all(self.package, self._modules.values())
        load_plugins()

    def names(self) -> list[str]:
        """Returns the names, sorted."""
        self._discover()
        return sorted({*self._parts, *self._settings})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def canonical(self, name: str) -> str:
        """Returns a part's name as it is registered, whatever dashes it is written with; an unknown name as it is."""
        if name in self.names():
            return name
        return next((known for known in self if one_spelling(known) == one_spelling(name)), name)

    def __getitem__(self, name: str) -> T:
        known = self.canonical(name)
        if known not in self._parts and known in self._modules:
            import_module(self._modules[known])
        if known not in self._parts:
            raise UsageError(f"there is no {self.what} called {name!r}", mend=mend(name, self.names()))
        return self._parts[known]


def _import_all(package: str, but: Collection[str]) -> None:
    """Imports the modules of a package, without some of them."""
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if (name := f"{package}.{module.name}") not in but:
            import_module(name)


@cache
def load_plugins() -> None:
    """Imports the user's own parts, which register themselves; once a process.

    Raises:
        UsageError: one cannot be imported.
    """
    for named in filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)):
        path = Path(named)
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            _import(str(file), file if file.suffix == ".py" else None)
    for found in entry_points(group=_GROUP):
        _import(found.value, None)


def _import(named: str, file: Path | None) -> None:
    """Imports a file, or a module by its name."""
    try:
        if file is None:
            import_module(named)
            return
        name = f"vqa_gs_plugin_{file.stem}"
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look up their module by its name
        spec.loader.exec_module(module)
    except VqaGsError:
        raise
    except Exception as error:
        raise UsageError(
            f"the plug-in {named} cannot be imported: {type(error).__name__}: {error}",
            mend=f"mend it, or take it out of {PLUGINS}",
        ) from error
