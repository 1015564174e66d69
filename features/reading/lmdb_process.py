"""The process that reads an LMDB for ``lmdb_records``: its path as the argument, its records to standard output.

LMDB maps the file into memory and trusts it: on a damaged one the process crashes or goes in circles. It is run as
a script and imports nothing of this package. Output, everything behind its length as an unsigned 64-bit little-endian
number: an object of JSON ({"entries": n} or {"error": text}), then for each record the key and the value; at the end a
length of zero.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys

_MEMORY = 2 << 30


def _send(content: bytes | memoryview) -> None:
    sys.stdout.buffer.write(struct.pack("<Q", len(content)))
    sys.stdout.buffer.write(content)


def main() -> None:
    """Writes the records in the order of their keys."""
    # The script's folder must not shadow what lmdb imports.
    sys.path.pop(0)
    out = sys.stdout.buffer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is mapped of the database does not count, only what is copied of it.
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    try:
        import lmdb

        path = sys.argv[1]
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
    out.flush()


if __name__ == "__main__":
    main()
