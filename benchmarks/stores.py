"""Measures how fast each public format becomes a region store, beside a plain read of the same bytes in the same run.

    python -m benchmarks.stores                     # 200 images of 36 x 2048 float32, 59 MB a format
    python -m benchmarks.stores --images 50 --rounds 1 --formats grid npy

Sources lie in the page cache and take turns with a plain read; what is told is each one's best. A conversion checks
every number, hashes source and store and writes as many bytes as it reads; a plain read does none of it, so the ratio
says what all of that costs. On a machine with other work both are slower, and the ratio says less.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.convert import convert
from vqa_gs.features.recognise import detect_format

from tests.features.formats import conftest as files
from tests.features.formats import later_files as later
from tests.features.formats.test_fuzz import make_hdf5


def makers() -> dict[str, Callable[[Path, Any], Path]]:
    """Returns what writes the source of each format into an empty folder."""

    def hdf5(adaptive: bool) -> Callable[[Path, Any], Path]:
        def make(folder: Path, images: Any) -> Path:
            make_hdf5(folder / "x.hdf5", images, adaptive)
            return folder / "x.hdf5"

        return make

    def grid(folder: Path, images: Any) -> Path:
        grids = {image_id: image["features"].reshape(6, 6, -1) for image_id, image in images.items()}
        return later.write_grids(folder / "x", grids)

    return {
        "tsv": lambda folder, images: files.write_tsv(folder / "x.tsv", images),
        "tsv-10": lambda folder, images: files.write_tsv_10(folder / "x.tsv", images),
        "vinvl": lambda folder, images: later.write_vinvl(folder / "x.tsv", images),
        "hdf5-36": hdf5(False),
        "hdf5-adaptive": hdf5(True),
        "hdf5-padded": lambda folder, images: files.write_padded(folder / "x.hdf5", images),
        "hdf5-meshed": lambda folder, images: later.write_meshed(folder / "x.hdf5", images),
        "hdf5-groups": lambda folder, images: later.write_groups(folder / "x.h5", images),
        "gqa": lambda folder, images: later.write_gqa(folder / "x", images, most=36),
        "npz": lambda folder, images: files.write_npz(folder / "x", images),
        "npy": lambda folder, images: later.write_npy(folder / "x", images),
        "mmf-npy": lambda folder, images: later.write_mmf(folder / "x", images),
        "grid": grid,
        "pth": lambda folder, images: files.write_pth(folder / "x", images),
        "bin": lambda folder, images: files.write_bin(folder / "x", images),
        "safetensors": lambda folder, images: later.write_safetensors(folder / "x.safetensors", images),
        "webdataset": lambda folder, images: later.write_shards(folder / "x", images),
        "parquet": lambda folder, images: later.write_parquet(folder / "x.parquet", images),
        "zarr": lambda folder, images: later.write_zarr(folder / "x.zarr", images),
        "lmdb": lambda folder, images: files.write_lmdb(
            folder / "x", {b"%d" % name: files.mmf_record(image) for name, image in images.items()}, size=1 << 30
        ),
    }


def read_all(folder: Path) -> int:
    """Reads all files of a folder; returns how many bytes they have."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb", buffering=0) as file:
                while piece := file.read(8 << 20):
                    total += len(piece)
    return total


def seconds(job: Callable[[], object]) -> float:
    """Returns how long a job takes."""
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=list(makers()))
    parser.add_argument("--folder", default=None, help="where to make the files (default: the temporary folder)")
    given = parser.parse_args()
    images = files.content(range(given.images), [36] * given.images, dim=2048, with_detections=True)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name in given.formats:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            inner = Path(folder, "source")
            inner.mkdir()
            source = makers()[name](inner, images)
            assert detect_format(source) == name
            times = []
            for _ in range(given.rounds):
                plain = seconds(lambda inner=inner: read_all(inner))
                times.append((plain, seconds(lambda source=source, out=Path(folder, "x.h5"): convert(source, out))))
            size = read_all(inner) / 1e6
            plain, whole = (min(column) for column in np.array(times).T)
            print(
                f"{name:14s} {size:7.0f} MB  read {size / plain:7.0f} MB/s  convert {size / whole:7.0f} MB/s"
                f"  {plain / whole:5.2f} of a plain read",
                flush=True,
            )
            shutil.rmtree(inner)


if __name__ == "__main__":
    main()
