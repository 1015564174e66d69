"""Checks of settings that several tasks share."""

from __future__ import annotations

from typing import Any

from vqa_gs.common.errors import UsageError

MOST_SEED = 2**32 - 1
"""The largest seed that all generators of random numbers here take."""


def require_seed(seed: int, what: str = "seed") -> None:
    """Raises UsageError for a seed that a generator of random numbers would refuse."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"{what} must be from 0 to {MOST_SEED}, not {short_number(seed)}")


def short_number(number: int) -> str:
    """Returns a number for a message, which thousands of digits are not to fill."""
    return str(number) if abs(number) < 10**20 else f"a number of {number.bit_length()} bits"


def at_least(part: Any, section: str, least: int, *names: str) -> None:
    """Refuses a section of settings in which one of some numbers is too small."""
    for name in names:
        if getattr(part, name) < least:
            raise UsageError(f"{section}.{name} must be at least {least}, not {getattr(part, name)}")
        if isinstance(getattr(part, name), int) and getattr(part, name) >= 2**62:
            raise UsageError(f"{section}.{name} is {short_number(getattr(part, name))}, which nothing has so many of")
