"""torch, imported when something of it is first used.

Importing it takes more than a second. Modules that commands need for their options, or to look into files, take it from
here; those whose classes are networks import it as usual. A module of settings must not import torch for types either:
the parser of the command line looks behind ``TYPE_CHECKING``.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
else:

    class _Lazy(ModuleType):
        """A module that is imported when it is asked for an attribute."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # who only looks at what kind of thing this is need not wait
                raise AttributeError(name)
            return getattr(import_module(self.__name__), name)

    torch = _Lazy("torch")

__all__ = ["torch"]
