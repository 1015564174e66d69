"""What two stores' fingerprints say of how their features differ."""

from __future__ import annotations

import json
from typing import Any

_ABSENT = object()


def differences(one: str, other: str) -> list[str]:
    """Returns in what two fingerprints differ, as lines such as ``preprocessing.short_side: 600, not 224``.

    Args:
        one: a fingerprint; JSON where this program made it.
        other: the one it should have been.
    """
    if one == other:
        return []
    try:
        left, right = _flat(json.loads(one)), _flat(json.loads(other))
    except (ValueError, RecursionError):
        return [f"{_short(one)}, not {_short(other)}"]
    return [
        f"{name}: {_word(left.get(name, _ABSENT))}, not {_word(right.get(name, _ABSENT))}"
        for name in sorted({*left, *right})
        if left.get(name, _ABSENT) != right.get(name, _ABSENT)
    ] or ["their wording"]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in _flat(inner, f"{name}.{part}").items()}
    return {name.lstrip("."): value}


def _word(value: Any) -> str:
    return "absent" if value is _ABSENT else _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
