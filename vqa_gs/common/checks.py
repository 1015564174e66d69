"""Checks of settings that several tasks share."""

from __future__ import annotations

from typing import Any

from vqa_gs.common.errors import UsageError


def at_least(part: Any, section: str, least: int, *names: str) -> None:
    """Refuses a section of settings in which one of some numbers is too small."""
    for name in names:
        if getattr(part, name) < least:
            raise UsageError(f"{section}.{name} must be at least {least}, not {getattr(part, name)}")
