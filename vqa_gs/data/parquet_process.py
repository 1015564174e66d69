"""The process that reads Parquet for ``table_rows``: JSON in (path, columns, bytes, rows), JSON out; run as a script.

Arrow's C++ trusts what a file says of itself, and a damaged one can crash it. The script imports nothing of this
package.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any

_MEMORY = 4 << 30
_ROWS_AT_ONCE = 64


def read(path: str, columns: list[str], most_bytes: int, most_rows: int) -> dict[str, Any]:
    """Returns the rows of some columns, those of images left out whatever they hold."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as parquet:
        there = [name for name in parquet.schema_arrow.names if name in columns]
        if parquet.metadata.num_rows > most_rows:
            return {"error": f"more than {most_rows:,} rows"}
        wanted, size = set(there), 0
        for group in range(parquet.metadata.num_row_groups):
            part = parquet.metadata.row_group(group)
            chunks = (part.column(at) for at in range(part.num_columns))
            size += sum(one.total_uncompressed_size for one in chunks if one.path_in_schema.split(".")[0] in wanted)
        if size > most_bytes:
            return {"error": f"its texts unpack to more than {most_bytes:,} bytes"}
        plain: dict[str, list[Any]] = {name: [] for name in there}
        left = most_bytes
        # A text that pages hold once may stand in every row: what is stored does not say how much there is to read.
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=there, use_threads=False):
            left -= batch.nbytes
            if left < 0:
                return {"error": f"its texts unpack to more than {most_bytes:,} bytes"}
            for name in there:
                plain[name] += batch.column(name).to_pylist()
    odd = [name for name in there if any(type(one) not in (str, int, float, bool, type(None)) for one in plain[name])]
    if odd:
        return {"error": f"the column {odd[0][:40]!r} holds neither texts nor numbers"}
    return {"columns": plain, "names": list(parquet.schema_arrow.names)[:64]}


def main() -> None:
    """Answers until standard input ends."""
    # The script's folder must not shadow what pyarrow imports.
    sys.path.pop(0)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > _MEMORY:  # else what we live under is tighter
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    while head := sys.stdin.buffer.read(8):
        request = json.loads(sys.stdin.buffer.read(*struct.unpack("<Q", head)))
        try:
            answer = read(*request)
        except ImportError:
            answer = {"missing": "pyarrow"}
        except BaseException as error:  # damaged files make Arrow raise nearly anything
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        content = json.dumps(answer).encode("utf-8", "surrogatepass")
        sys.stdout.buffer.write(struct.pack("<Q", len(content)) + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
