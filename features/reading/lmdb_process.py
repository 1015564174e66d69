"""The process that reads an LMDB for ``lmdb_records``: its path as the argument, its records to standard output.

LMDB maps the file into memory and trusts it: on a damaged one the process crashes or goes in circles. It is run by a
fork server and imports nothing of this package. Output, everything behind its length as an unsigned 64-bit
little-endian number: an object of JSON ({"entries": n} or {"error": text}), then for each record the key and the value;
at the end a length of zero.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from contextlib import suppress

MEMORY = 2 << 30


def _send(content: bytes | memoryview) -> None:
    sys.stdout.buffer.write(struct.pack("<Q", len(content)))
    sys.stdout.buffer.write(content)


def prepare() -> None:
    """Imports LMDB."""
    with suppress(ImportError):  # reading says so
        importlib.import_module("lmdb")


def main(path: str) -> None:
    """Writes the records in the order of their keys."""
    try:
        import lmdb

        environment = lmdb.open(path, subdir=os.path.isdir(path), readonly=True, lock=False, create=False)
        head = {"entries": environment.stat()["entries"]}
    except Exception as error:
        _send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode("ascii"))
        return
    _send(json.dumps(head).encode("ascii"))
    with environment.begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            _send(key)
            _send(value)
    _send(b"")
