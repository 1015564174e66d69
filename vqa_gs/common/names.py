"""Names in braces that settings may hold: ``{data_dir}``, the folder of the user's data, and a study's ``{out}``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vqa_gs.common.errors import UsageError

DATA_DIR = "VQA_DATA"


def data_dir(given: str | None) -> str | None:
    """Returns what ``{data_dir}`` stands for: what is given, else the environment's ``VQA_DATA``, else None."""
    return given or os.environ.get(DATA_DIR) or None


def filled(value: Any, names: Mapping[str, str | None]) -> Any:
    """Returns a value with names in braces replaced in all its texts, however deep in lists and mappings.

    Args:
        value: plain containers.
        names: what each name stands for; None where that is not known.

    Raises:
        UsageError: a text holds a name that is not known.
    """
    if isinstance(value, str):
        for name, stands_for in names.items():
            braced = f"{{{name}}}"
            if braced in value and stands_for is None:
                raise UsageError(
                    f"{value}: what {braced} stands for is not said",
                    mend=f"set the environment variable {DATA_DIR} to the folder of the data, or {name}",
                )
            value = value.replace(braced, stands_for or "")
        return value
    if isinstance(value, Mapping):
        return {key: filled(inner, names) for key, inner in value.items()}
    return [filled(inner, names) for inner in value] if isinstance(value, list) else value
