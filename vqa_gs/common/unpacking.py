"""How much a compressed file may unpack to: an honest one never comes near it."""

from __future__ import annotations

import zlib

RATIO = 100
"""Unpacked bytes for each packed byte, at most; files of questions and annotations have 5 to 25."""

FREE = 16 << 20
"""Bytes that any file may unpack to."""


def most_unpacked(packed: int) -> int:
    """Returns the most bytes that a file of ``packed`` bytes may unpack to."""
    return max(FREE, RATIO * packed)


def require_plausible_size(packed: int, unpacked: int) -> None:
    """Raises ValueError where ``packed`` bytes say that they unpack to more than `most_unpacked`."""
    if unpacked > most_unpacked(packed):
        raise ValueError(f"{packed} bytes unpack to more than {most_unpacked(packed):,}, which no honest file does")


def gunzip(content: bytes) -> bytes:
    """Unpacks gzip, of one or more members, up to `most_unpacked`.

    Raises:
        EOFError: it is cut off.
        OSError, zlib.error: it is damaged.
        ValueError: it unpacks to more.
    """
    left = most_unpacked(len(content))
    pieces: list[bytes] = []
    rest: bytes = content
    while rest:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        pieces.append(unpacker.decompress(rest, left + 1))
        left -= len(pieces[-1])
        require_plausible_size(len(content), most_unpacked(len(content)) - left)
        if not unpacker.eof:
            raise EOFError("the gzip ends too early")
        # What follows a member is another one, or zeros that fill up a block of a tape.
        rest = unpacker.unused_data.lstrip(b"\0")
    return b"".join(pieces)
