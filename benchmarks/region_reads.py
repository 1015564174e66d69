"""Measures how fast a region store gives random batches, beside what memory and disk can do in the same run.

    python benchmarks/region_reads.py                                  # 8 GB
    python benchmarks/region_reads.py --gb 40 --folder /data/scratch   # larger than memory: cold for certain

Absolute numbers drift with the machine and its other users. Limits and readers therefore take turns, and what is
printed beside each rate is the median over the rounds of its ratio to the limit in the same round. Warm rates are by
the reading thread's processor time, which is the time that passes where no other program wants the core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
import torch
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.features.writer import RegionStoreWriter

Step = Callable[[np.ndarray], object]


def build(path: Path, images: int, regions: int, dim: int, dtype: str) -> float:
    """Writes a store of random numbers and returns the seconds it took."""
    rng = np.random.default_rng(0)
    # A few images' numbers, shifted: random enough for a disk, and far cheaper than random numbers throughout.
    pool = rng.normal(size=(regions * 4, dim)).astype(dtype)
    boxes = np.sort(rng.random((regions, 2, 2)) * 400, 1).reshape(regions, 4).astype(np.float32)
    start = time.perf_counter()
    with RegionStoreWriter(path, dim=dim, dtype=dtype, fingerprint="benchmark") as writer:
        for image in range(images):
            at = image % (regions * 3)
            writer.add(image, pool[at : at + regions], boxes, (400, 400))
    return time.perf_counter() - start


def drop_cache(path: Path) -> None:
    """Asks the kernel to forget the file's pages."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fill_cache(path: Path) -> None:
    """Reads the file once from end to end, which fills the cache with large pages."""
    drop_cache(path)
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def resident(path: Path, rng: np.random.Generator) -> float:
    """Returns the share of the file's pages that are in memory; some systems give up cold ones early."""
    with open(path, "rb") as file:
        there = 0
        for at in rng.integers(0, path.stat().st_size, 2000).tolist():
            with suppress(BlockingIOError):
                there += os.preadv(file.fileno(), [bytearray(1)], at, os.RWF_NOWAIT)
    return there / 2000


class Records:
    """The limits: what memory and disk can do with a batch's bytes, without this package.

    Args:
        path: the file.
        record: bytes an image.
        batch: images at a time.
    """

    def __init__(self, path: Path, record: int, batch: int) -> None:
        self.record = record
        self.ones, self.target = np.ones(batch * record, np.uint8), np.zeros(batch * record, np.uint8)
        self.descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        self.threads = ThreadPoolExecutor(8)

    def copy(self, rows: np.ndarray) -> None:
        """Copies as many bytes."""
        np.copyto(self.target, self.ones)

    def read(self, rows: np.ndarray) -> None:
        """Reads one record after the other."""
        for place in enumerate(rows.tolist()):
            self._one(place)

    def read_by_threads(self, rows: np.ndarray) -> None:
        """Reads eight records at a time."""
        list(self.threads.map(self._one, enumerate(rows.tolist())))

    def _one(self, place: tuple[int, int]) -> None:
        number, at = place
        part = memoryview(self.target)[number * self.record : (number + 1) * self.record]
        os.preadv(self.descriptor, [part], 4096 + at * self.record)


class Reader:
    """`read_batch` with its memory used again, as training does."""

    def __init__(self, store: RegionStore, dtype: torch.dtype) -> None:
        self.store, self.dtype = store, dtype
        self.out: RegionBatch | None = None

    def __call__(self, rows: np.ndarray) -> None:
        """Reads a batch."""
        self.out = self.store.read_batch(rows, self.out, self.dtype)


def compare(
    title: str,
    steps: dict[str, Step],
    limit: str,
    draw: Callable[[], np.ndarray],
    rounds: int,
    before: Step = len,
    clock: Callable[[], float] = time.thread_time,
) -> None:
    """Runs the steps in turn and prints each one's images a second and its part of the limit's."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            rows = draw()
            before(rows)
            start = clock()
            step(rows)
            times[name].append((clock() - start) / len(rows))
    print(title)
    for name, seconds in times.items():
        ratio = np.median(np.array(times[limit]) / np.array(seconds))
        print(f"  {name:32s}{1 / np.median(seconds):10,.0f} images/s   {ratio:5.2f} of {limit}")


def anonymous_memory() -> int:
    """Returns the bytes this process holds that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@contextmanager
def repacked(path: Path, images: int, regions: int, **options: object) -> Iterator[Path]:
    """Yields a store's first images in another HDF5 layout, as other programs write them."""
    other = path.with_name("repacked.h5")
    with RegionStore(path) as store, RegionStoreWriter(other, dim=store.dim, fingerprint="benchmark") as writer:
        for image in range(images):
            there = store[image]
            writer.add(image, there.features, there.boxes, there.size)
    with h5py.File(other, "r+") as file:
        features = file["regions/features"][:]
        del file["regions/features"]
        file.create_dataset("regions/features", data=features, chunks=(regions, features.shape[1]), **options)
    yield other
    other.unlink()


def foreign(path: Path, images: int, regions: int, batch: int, rng: np.random.Generator) -> None:
    """Compares chunked and compressed files with a plain loop over h5py's own indexing."""
    for name, options in (("chunked", {}), ("lzf", {"compression": "lzf"}), ("gzip", {"compression": "gzip"})):
        with repacked(path, images, regions, **options) as other, h5py.File(other) as file:
            dataset = file["regions/features"]

            out = np.zeros((batch, regions, dataset.shape[1]), np.float16)

            def loop(rows: np.ndarray, dataset: h5py.Dataset = dataset, out: np.ndarray = out) -> None:
                for position, row in enumerate(rows.tolist()):
                    out[position] = dataset[row * regions : (row + 1) * regions]

            reader = Reader(RegionStore(other), torch.float16)
            for low in range(0, images, batch):
                reader(np.arange(low, min(low + batch, images)))
            steps: dict[str, Step] = {"ds[i] in a loop": loop, "read_batch": reader}
            compare(f"{name}, batch {batch}", steps, "ds[i] in a loop", lambda: rng.integers(0, images, batch), 15)
            reader.store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=8.0, help="size of the store")
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--folder", default=None, help="where the store is made, and removed again")
    options = parser.parse_args()
    record = options.regions * options.dim * 2
    images = max(*options.batch, int(options.gb * 1e9 / record))
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store.h5"
        seconds = build(path, images, options.regions, options.dim, "float16")
        size = path.stat().st_size / 1e9
        print(f"{images:,} images of {options.regions} x {options.dim} float16, {size:.2f} GB")
        print(f"written at {size / seconds:.2f} GB/s; {torch.get_num_threads()} torch threads; one thread reads")
        start = time.perf_counter()
        RegionStore(path)
        print(f"opened in {(time.perf_counter() - start) * 1e3:.1f} ms")
        for batch in options.batch:

            def draw(batch: int = batch) -> np.ndarray:
                return rng.integers(0, images, batch)

            limits = Records(path, record, batch)
            before = anonymous_memory()
            store = RegionStore(path)
            halves, floats = Reader(store, torch.float16), Reader(store, torch.float32)
            halves(draw())
            extra = anonymous_memory() - before
            print(f"batch {batch}: {extra / (batch * record):.2f} batches of memory, its own included")
            fill_cache(path)
            for low in range(0, images, batch):  # every image is looked through for NaN when first read
                halves(np.arange(low, min(low + batch, images)))
            warm: dict[str, Step] = {
                "memcpy": limits.copy,
                "preadv": limits.read,
                "read_batch, float16": halves,
                "read_batch, float32": floats,
            }
            compare(f"warm, batch {batch}", warm, "memcpy", draw, options.rounds)
            print(f"  {resident(path, rng):.0%} of the file was in memory afterwards")
            cold: dict[str, Step] = {
                "random reads by 8 threads": limits.read_by_threads,
                "random reads by one": limits.read,
                "read_batch, float16": halves,
                "read_batch, float32": floats,
            }
            compare(
                f"cold, batch {batch}",
                cold,
                "random reads by 8 threads",
                draw,
                9,
                lambda _: drop_cache(path),
                time.perf_counter,
            )
        foreign(path, min(images, 2000), options.regions, options.batch[0], rng)


if __name__ == "__main__":
    main()
