"""``python -m tests.fuzz``: damages files of every kind and reads them, for as long as is asked for."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.fuzzer import damage, fuzz, one_case
from tests.fuzz.seeds import READERS, write_seeds


def main() -> int:
    """Returns 1 where a case failed; what is needed to see it again is printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--cases", type=int, default=None, help="so many of each reader, whatever the time")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS), help="only these")
    parser.add_argument("--case", type=int, default=None, help="run this case of one reader here, without a limit")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for the files that failed")
    given = parser.parse_args()
    readers = {name: READERS[name] for name in given.readers}
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds"
        write_seeds(seeds)
        if given.case is not None:
            (name, read), *_ = readers.items()
            target = given.keep / f"{name}-{given.seed}-{given.case}"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(seeds / name, target)
            print(damage(target, name, given.seed, given.case))
            print(one_case(read, target) or "nothing wrong")
            read(target)
            return 0
        begun = time.monotonic()
        seconds = given.seconds if given.cases is None else math.inf
        done, failures = fuzz(readers, seeds, given.seed, seconds, given.first, given.cases)
    print(f"{sum(done.values()):,} cases of {len(done)} readers in {time.monotonic() - begun:.0f} s, seed {given.seed}")
    print(", ".join(f"{name} {count:,}" for name, count in done.items()))
    for failure in failures:
        print(f"FAILED {failure.reader!r} case {failure.number}: {failure.problem}")
        print(f"    python -m tests.fuzz --seed {given.seed} --readers {failure.reader!r} --case {failure.number}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
