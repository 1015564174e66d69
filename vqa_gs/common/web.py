"""What pages that need nothing but themselves have in common: data and scripts inside them, safely."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec


def script_json(content: Any) -> str:
    """Returns JSON that may stand in a script element, whatever texts are in it."""
    text = msgspec.json.encode(content).decode("utf-8")
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def script_hash(script: str) -> str:
    """Returns the hash by which a page's content security policy allows its own script and no other."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
