"""``python -m tests.fuzz``: damages files of every kind and reads them, for as long as is asked for."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.fuzzer import Failure, Tally, damage, fuzz, one_case
from tests.fuzz.seeds import READERS, write_seeds

FEATURES = ["store", *(name for name in READERS if name.startswith("format "))]
"""The readers of region stores."""

_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
_TOLD_EVERY = 60.0


def main() -> int:
    """Returns 1 where a case failed; what is needed to see it again is printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=None, help="how long; 60, with --cases as long as it takes")
    parser.add_argument("--cases", type=int, default=None, help="at most so many of each reader")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    words = ["features", *READERS]
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=words, help="only these")
    parser.add_argument("--case", type=int, default=None, help="run this case of one reader here, without a limit")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for the files that failed")
    parser.add_argument("--tmp", type=Path, default=_temporary(), help="folder for temporary files")
    given = parser.parse_args()
    names = [one for word in given.readers for one in (FEATURES if word == "features" else [word])]
    readers = {name: READERS[name] for name in names}
    tempfile.tempdir = str(given.tmp)
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds"
        write_seeds(seeds)
        if given.case is not None:
            (name, read), *_ = readers.items()
            target = given.keep / f"{name}-{given.seed}-{given.case}"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(seeds / name, target)
            print(damage(target, name, given.seed, given.case))
            print(one_case(read, target)[0] or "nothing wrong")
            read(target)
            return 0
        begun = told_at = time.monotonic()
        seconds = given.seconds or (60 if given.cases is None else math.inf)

        def told(tallies: dict[str, Tally], found: list[Failure]) -> None:
            nonlocal told_at
            for failure in found:
                print(f"FAILED {failure.reader!r} case {failure.number}: {failure.problem}")
                again = f"--seed {given.seed} --readers {failure.reader!r} --case {failure.number}"
                print(f"    python -m tests.fuzz {again} --tmp {given.tmp}", flush=True)
            if time.monotonic() > told_at + _TOLD_EVERY:
                told_at = time.monotonic()
                _tell(tallies, told_at - begun, given.seed)

        tallies, failures = fuzz(readers, seeds, given.seed, seconds, given.first, given.cases, told)
    for name, tally in tallies.items():
        print(f"{name}: {tally.cases:,} cases, at most {tally.seconds:.2f} s and {tally.bytes >> 20:,} MB")
    _tell(tallies, time.monotonic() - begun, given.seed)
    return 1 if failures else 0


def _tell(tallies: dict[str, Tally], taken: float, seed: int) -> None:
    done = tallies.values()
    least, count = min(one.cases for one in done), sum(one.cases for one in done)
    longest, most = max(one.seconds for one in done), max(one.bytes for one in done) >> 20
    print(
        f"{count:,} cases of {len(done)} readers, {least:,} or more of each, in {taken:.0f} s, seed {seed}; "
        f"at most {longest:.2f} s and {most:,} MB",
        flush=True,
    )


def _temporary() -> Path:
    """Returns a folder in memory where there is one with room, else the system's."""
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ROOM:
        return _IN_MEMORY
    return Path(tempfile.gettempdir())


if __name__ == "__main__":
    sys.exit(main())
