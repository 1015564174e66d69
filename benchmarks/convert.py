"""Measures how fast a TSV becomes a region store, beside the decoding of its base64 alone in the same run.

    python benchmarks/convert.py                   # 1.5 GB, 36 x 2048
    python benchmarks/convert.py --gb 0.3 --rounds 1

The limit is what Python's own decoder needs for the same fields, already in memory: no reading, no splitting, nothing
done with the numbers. A conversion reads, splits, decodes, checks every number, hashes the source and the store, and
writes. Stated bar: 60 % of the limit, with Python's decoder and, where the extra `fast` is installed, with pybase64.
"""

from __future__ import annotations

import argparse
import binascii
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from vqa_gs.features.convert import convert
from vqa_gs.features.reading import tsv
from vqa_gs.features.reading.tsv import encoded

BAR = 0.6


def build(path: Path, gigabytes: float, regions: int, dim: int) -> tuple[int, int]:
    """Writes a TSV of that size and returns (images, bytes of features as base64)."""
    rng = np.random.default_rng(0)
    size = np.array([640, 480, 640, 480])
    # A few images' fields are written again and again: decoding does not mind, and making them is slow.
    pool = []
    for _ in range(32):
        boxes = np.sort(rng.random((regions, 2, 2)), 1).reshape(regions, 4) * size
        features = np.maximum(rng.normal(size=(regions, dim)), 0)
        pool.append((encoded(boxes, "<f4"), encoded(features, "<f4")))
    field_bytes = len(pool[0][1])
    images = max(1, round(gigabytes * 1e9 / (field_bytes + len(pool[0][0]) + 30)))
    with open(path, "wb") as file:
        for image in range(images):
            boxes, features = pool[image % len(pool)]
            file.write(b"%d\t640\t480\t%d\t%b\t%b\r\n" % (image, regions, boxes, features))
    return images, images * field_bytes


def decode(path: Path, images: int) -> None:
    """Decodes the features of so many images, those of the file's first ones again and again."""
    with open(path, "rb") as file:
        fields = [file.readline().rstrip(b"\r\n").split(b"\t")[5] for _ in range(min(32, images))]
    for image in range(images):
        binascii.a2b_base64(fields[image % len(fields)])


def convert_with(decoder: object, source: Path, out: Path, dtype: str) -> None:
    """Converts with pybase64, or without it."""
    tsv.pybase64 = decoder
    convert(source, out, dtype=dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=1.5)
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where to make the files (default: the temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        source, out = Path(folder, "source.tsv"), Path(folder, "out.h5")
        images, field_bytes = build(source, given.gb, given.regions, given.dim)
        print(
            f"{images:,} images of {given.regions} x {given.dim} float32, {source.stat().st_size / 1e9:.2f} GB of TSV"
        )
        jobs: dict[str, Callable[[], object]] = {"decoding base64 alone": lambda: decode(source, images)}
        fast = tsv.pybase64
        for decoder in (None, fast) if fast else (None,):
            for dtype in ("float16", "float32"):
                name = f"to {dtype}" + (", pybase64" if decoder else "")
                jobs[name] = lambda dtype=dtype, decoder=decoder: convert_with(decoder, source, out, dtype)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        # In turns, so that another user of the machine slows all of them.
        for _ in range(given.rounds):
            for name, job in jobs.items():
                start, used = time.perf_counter(), time.process_time()
                job()
                times[name].append((time.perf_counter() - start, time.process_time() - used))
        limit = min(times["decoding base64 alone"])[0]
        for name, rounds in times.items():
            best, used = min(rounds)[0], min(used for _, used in rounds)
            line = f"{name:24s}{best:8.2f} s {images / best:10,.0f} images/s {field_bytes / best / 1e9:6.2f} GB/s"
            line += f"{used:8.2f} processor s"
            if name.startswith("to"):
                line += f"   {limit / best:5.2f} of decoding alone (bar {BAR})"
            print(line)
        print(f"largest resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
