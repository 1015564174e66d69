"""Measures how fast a region store gives random batches, beside what memory and disk can do in the same run.

    python benchmarks/region_reads.py --gb 1
    python benchmarks/region_reads.py --gb 40 --folder /data/scratch   # larger than memory: cold for certain

Absolute numbers drift with the machine and its other users; the ratios to the limits are what to compare.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from features.store import RegionStore
from features.writer import RegionStoreWriter


def build(path: Path, images: int, regions: int, dim: int, dtype: str) -> float:
    """Writes a store of random numbers and returns the seconds it took."""
    rng = np.random.default_rng(0)
    # A few images' numbers, shifted: random enough for a disk, and far cheaper than random numbers
    # throughout.
    pool = rng.normal(size=(regions * 4, dim)).astype(dtype)
    boxes = np.sort(rng.random((regions, 2, 2)) * 400, 1).reshape(regions, 4).astype(np.float32)
    start = time.perf_counter()
    with RegionStoreWriter(path, dim=dim, dtype=dtype, fingerprint="benchmark") as writer:
        for image in range(images):
            at = image % (regions * 3)
            writer.add(image, pool[at : at + regions], boxes, (400, 400))
    return time.perf_counter() - start


def drop_cache(path: Path) -> bool:
    """Asks the kernel to forget the file's pages; False where that is not possible."""
    if not hasattr(os, "posix_fadvise"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True


def fill_cache(path: Path) -> None:
    """Reads the file once."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def rate(step: Callable[[], object], batch: int, rounds: int, before: Callable[[], object] = bool) -> float:
    """Returns the median images a second of a step that handles ``batch`` images."""
    times = []
    for _ in range(rounds):
        before()
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return batch / sorted(times)[len(times) // 2]


def raw_reads(path: Path, record: int, records: int, batch: int, rng: np.random.Generator) -> Callable[[], None]:
    """Returns a step that reads ``batch`` random records one after the other: the disk without this package."""
    target = memoryview(np.empty(batch * record, np.uint8))
    descriptor = os.open(path, os.O_RDONLY)

    def step() -> None:
        for number, at in enumerate(rng.integers(0, records, batch).tolist()):
            os.preadv(descriptor, [target[number * record : (number + 1) * record]], 4096 + at * record)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=1.0, help="size of the store")
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", default=None, help="where the store is made, and removed again")
    options = parser.parse_args()
    record = options.regions * options.dim * np.dtype(options.dtype).itemsize
    images = max(options.batch, int(options.gb * 1e9 / record))
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store.h5"
        seconds = build(path, images, options.regions, options.dim, options.dtype)
        size = path.stat().st_size / 1e9
        print(f"{images:,} images of {options.regions} x {options.dim} {options.dtype}, {size:.2f} GB")
        print(f"{torch.get_num_threads()} torch threads, batch {options.batch}")
        print(f"{'written':34s}{size / seconds:10.2f} GB/s")
        start = time.perf_counter()
        store = RegionStore(path)
        print(f"{'opened':34s}{(time.perf_counter() - start) * 1e3:10.1f} ms")
        out = store.read_batch(range(options.batch))

        def step() -> None:
            nonlocal out
            out = store.read_batch(rng.integers(0, images, options.batch), out)

        one, other = np.ones(options.batch * record, np.uint8), np.zeros(options.batch * record, np.uint8)
        memcpy = rate(lambda: np.copyto(other, one), options.batch, options.rounds)
        raw = raw_reads(path, record, images, options.batch, rng)
        fill_cache(path)
        rows = [("memcpy", memcpy)]
        rows.append(("warm: random preadv", rate(raw, options.batch, options.rounds)))
        rows.append(("warm: read_batch", rate(step, options.batch, options.rounds)))
        if drop_cache(path):
            rounds = min(options.rounds, 8)
            rows.append(("cold: random preadv", rate(raw, options.batch, rounds, lambda: drop_cache(path))))
            rows.append(("cold: read_batch", rate(step, options.batch, rounds, lambda: drop_cache(path))))
        for name, images_per_second in rows:
            line = f"{name:34s}{images_per_second:10,.0f} images/s {images_per_second * record / 1e9:7.2f} GB/s"
            if "read_batch" in name:
                limit = dict(rows)[name.replace("read_batch", "random preadv")]
                line += f"   {images_per_second / memcpy:5.2f} of memcpy, {images_per_second / limit:5.2f} of preadv"
            print(line)


if __name__ == "__main__":
    main()
