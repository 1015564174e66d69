"""Names: those that files are called after, and those in braces in settings (``{data_dir}``, a study's ``{out}``)."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from vqa_gs.common.errors import UsageError

DATA_DIR = "VQA_DATA"

LONGEST_NAME = 100
"""Bytes; file systems take 255, of which the names of temporary files need some."""


def data_dir(given: str | None) -> str | None:
    """Returns what ``{data_dir}`` stands for: what is given, else the environment's ``VQA_DATA``, else None."""
    return given or os.environ.get(DATA_DIR) or None


def require_text(text: str, what: str) -> None:
    """Raises UsageError where a text cannot be written as UTF-8: half of a surrogate pair, or bytes of another code."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} {text!a} is not valid Unicode", mend="write it in UTF-8") from error


def require_file_names(names: Iterable[str], what: str) -> None:
    """Checks names that files are called after, before anything is computed that would go there.

    Args:
        names: the names.
        what: what they are of, for messages ("data.tests").

    Raises:
        UsageError: one is no single part of a path, or two are one where capitals do not count.
    """
    taken: dict[str, str] = {}
    for name in names:
        require_text(name, f"{what}: the name")
        bad = {letter for letter in name if letter in "/\\\0" or unicodedata.category(letter) in ("Cc", "Zl", "Zp")}
        if bad or name.strip(". ") != name or not name or len(name.encode()) > LONGEST_NAME:
            raise UsageError(
                f"{what}: {name[:60]!r} cannot be the name of a file",
                mend=f"take at most {LONGEST_NAME} letters, no slashes, and no point or space at the ends",
            )
        other = taken.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other is not name:
            raise UsageError(f"{what}: {other!r} and {name!r} would be one file", mend="rename one")


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
