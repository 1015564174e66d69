"""Damage: what disks, networks, other programs and attackers do to a file; a seed says what, and says it again."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable

_NUMBERS = ("-1", "0", "1e400", "NaN", "-0.0", "1.5", "1e-400", "9" * 30, "9" * 5000)
_NUMBERS += (str(2**31), str(2**63), str(-(2**63)))
_VALUES = ("null", "true", "[]", "{}", '""', '"\\ud800"', '"\\u0000"', '"../../x"', '"\\u001b[31m"', "[[[[[[]]]]]]")
_DEEP = ("[" * 3000, '{"a":' * 3000, "[" * 3000 + "]" * 3000)
_YAML = ("&a [*a]", "!!python/object/apply:os.system [ls]", "{class_path: os.X}")
_YAML += ("? [a]\n: b", ".inf", ".nan", "- " * 99)
_OPCODES = b"\x80\x02}]()NabcdeostuQRi0.2\x85\x86\x87\x93\x94\x81\x8f\x91\x92jhgqrp"
_PICKLE = tuple(_OPCODES[at : at + 1] for at in range(len(_OPCODES)))
_CALLS = (b"cos\nsystem\n", b"c_codecs\nencode\n", b"cnumpy\ndtype\n", b"cbuiltins\nbytearray\n")
_CALLS += (b"(I2147483647\ntR", b"tRb")
_ENDS = tuple(bytes([value]) * width for value in (0, 0x7F, 0x80, 0xFF) for width in (1, 2, 4, 8))
_NUMBER, _VALUE = re.compile(rb"-?\d+(?:\.\d+)?"), re.compile(rb'"[^"]*"|\b(?:true|false|null)\b')


def mutated(content: bytes, name: str, rng: random.Random) -> bytes:
    """Returns a file's content with one to four pieces of damage.

    Args:
        content: the healthy bytes.
        name: the file's name, which says what its parts look like.
        rng: what decides.
    """
    kinds = [_flip, _set, _cut, _insert, _copy, _swap, _integer]
    if name.endswith((".json", ".yaml", ".csv", ".tsv", ".txt")):
        kinds += [_number, _value, _number, _value, _deep]
    if name.endswith(".yaml"):
        kinds += [_yaml, _yaml]
    if name.endswith((".pkl", ".npz", ".pth", ".pt", ".mdb")):
        kinds += [_pickle, _pickle]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(kinds)(content, rng)
    if name.endswith(".json") and rng.random() < 0.05:
        content = gzip.compress(content, 1)
        content = content[: rng.randrange(1, len(content) + 1)] if rng.random() < 0.5 else content
    return content


def _place(content: bytes, rng: random.Random) -> int:
    # Heads of binary files decide most, so half of the damage is done there.
    end = len(content) if rng.random() < 0.5 else min(len(content), 2048)
    return rng.randrange(end + 1)


def _flip(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + bytes(byte ^ (1 << rng.randrange(8)) for byte in content[at : at + 1]) + content[at + 1 :]


def _set(content: bytes, rng: random.Random) -> bytes:
    at, value = _place(content, rng), rng.choice(_ENDS)
    return content[:at] + value + content[at + len(value) :]


def _integer(content: bytes, rng: random.Random) -> bytes:
    at, value = _place(content, rng), rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63, 10**9))
    width = rng.choice((2, 4, 8))
    return content[:at] + (value % (1 << 8 * width)).to_bytes(width, "little") + content[at + width :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] if rng.random() < 0.5 else content[:at] + content[at + rng.randrange(64) :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.randbytes(rng.randrange(9)) + content[at:]


def _copy(content: bytes, rng: random.Random) -> bytes:
    at, size = _place(content, rng), rng.choice((4, 64, 1024))
    return content[:at] + content[at : at + size] * rng.choice((2, 3, 50)) + content[at + size :]


def _swap(content: bytes, rng: random.Random) -> bytes:
    one, other, size = _place(content, rng), _place(content, rng), rng.choice((1, 8, 64))
    return content[:one] + content[other : other + size] + content[one + size :]


def _replaced(pattern: re.Pattern[bytes], choices: Callable[[], bytes], content: bytes, rng: random.Random) -> bytes:
    places = list(pattern.finditer(content))
    if not places:
        return _flip(content, rng)
    place = rng.choice(places)
    return content[: place.start()] + choices() + content[place.end() :]


def _number(content: bytes, rng: random.Random) -> bytes:
    return _replaced(_NUMBER, lambda: rng.choice(_NUMBERS + _VALUES).encode(), content, rng)


def _value(content: bytes, rng: random.Random) -> bytes:
    return _replaced(_VALUE, lambda: rng.choice(_VALUES + _NUMBERS).encode(), content, rng)


def _deep(content: bytes, rng: random.Random) -> bytes:
    return _replaced(_VALUE, lambda: rng.choice(_DEEP).encode(), content, rng)


def _yaml(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    key = lines[at].split(b":")[0]
    lines[at] = key + b": " + rng.choice(_YAML).encode()
    return b"\n".join(lines)


def _pickle(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.choice(_PICKLE + _CALLS) + content[at + rng.randrange(2) :]
