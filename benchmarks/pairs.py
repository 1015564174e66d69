"""CPU and wall seconds to build pairs at the size of VQA-CP v2, and how they grow.

438,183 questions about 123,287 images; text made up with a length and repetition like the real ones: a few questions
are asked thousands of times, most once. Run at a quarter, a half and the whole:
``python benchmarks/pairs.py [--questions N] [--images N] [--part questions|images|all] [--parts 4 2 1]``, and of a
million images ``python benchmarks/pairs.py --part images --images 1000000 --dim 256 --parts 8 4 2 1``. Limits are
wall seconds on two free cores; beside them, in brackets, half the CPU seconds, because a machine is not always free.
Growth is CPU time over what n log n would make of the smallest part's.
"""

from __future__ import annotations

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made_up import questions_of
from numpy.typing import NDArray
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.classes.coco import SYNONYMS
from vqa_gs.pair_builders.classes.regions import ClassSettings
from vqa_gs.pair_builders.nearest.images import standardised
from vqa_gs.pair_builders.nearest.questions import Texts
from vqa_gs.pair_builders.nearest.search import nearest_images
from vqa_gs.pair_builders.selection_rule import SELECTIONS
from vqa_gs.pair_builders.sources import PairSources

LIMITS = {"same-question + selection": 60, "near-duplicate questions": 60, "near-duplicate images": 240}
MEMORY = 6.0
NEIGHBOURS = 10


def vectors_of(count: int, dim: int = 2048, seed: int = 0) -> NDArray[np.float32]:
    """Makes up pooled features: positive, a falling spectrum, scenes of a few near-duplicates, some noise."""
    generator = np.random.default_rng(seed)
    rank = 256
    spread = (1 + np.arange(rank, dtype=np.float32)) ** -0.5
    mixing = generator.standard_normal((rank, dim), np.float32)
    scenes = generator.standard_normal((count // 4 + 1, rank), np.float32) * spread
    vectors = np.empty((count, dim), np.float32)
    for start in range(0, count, 8192):
        rows = np.arange(start, min(start + 8192, count))
        inner = scenes[rows // 4] + 0.35 * spread * generator.standard_normal((len(rows), rank), np.float32)
        outer = inner @ mixing + 0.2 * generator.standard_normal((len(rows), dim), np.float32)
        np.maximum(outer, 0, out=vectors[rows[0] : rows[-1] + 1])
    return vectors


def store_of(folder: Path, images: int, regions: int = 3, dim: int = 2048) -> tuple[RegionStore, ClassSettings]:
    """Writes regions with classes."""
    generator = np.random.default_rng(0)
    path = folder / f"regions{images}.h5"
    codes = generator.integers(0, len(SYNONYMS), images * regions)
    centres = generator.standard_normal((len(SYNONYMS), dim), np.float32)
    boxes = np.tile(np.array([[0, 0, 640, 480]], np.float32), (regions, 1))
    with RegionStoreWriter(path, dim=dim, dtype="float16", fingerprint="made up") as writer:
        for image in range(images):
            noise = generator.standard_normal((regions, dim), np.float32)
            writer.add(image, centres[codes[image * regions : (image + 1) * regions]] + noise, boxes, (640, 480))
    np.savez(folder / f"classes{images}.npz", category=codes.astype(np.uint8))
    (folder / "names.txt").write_text("\n".join(SYNONYMS), encoding="utf-8")
    return RegionStore(path), ClassSettings(folder / "names.txt", folder / f"classes{images}.npz")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    return work(), time.process_time() - cpu, time.perf_counter() - wall


def planted(found: NDArray[np.int64]) -> float:
    """Returns the share of near-duplicates found: those of an image are the others of its scene in `vectors_of`."""
    scene = np.arange(len(found)) // 4
    there = (found >= 0) & (found // 4 == scene[:, None])
    return float(there.sum() / (np.bincount(scene)[scene] - 1).sum())


def recall(vectors: NDArray[np.float32], found: NDArray[np.int64], sample: int = 200) -> float:
    """Returns the share of the true nearest images that were found, by an exact search for some images."""
    rows = np.random.default_rng(1).choice(len(vectors), sample, replace=False)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    right = 0
    for row in rows:
        cosine = unit @ unit[row]
        cosine[row] = -np.inf
        right += len(set(np.argpartition(-cosine, NEIGHBOURS)[:NEIGHBOURS].tolist()) & set(found[row].tolist()))
    return right / (sample * NEIGHBOURS)


def run_questions(folder: Path, questions: int, images: int) -> list[tuple[str, float, float, str]]:
    store, classes = store_of(folder, images)
    asked = questions_of(questions, images)
    rules = [(name, SELECTIONS[name].Settings()) for name in ("named", "agreed", "few-changed", "cap")]
    builder = BUILDERS["same-question"]

    def same() -> Any:
        return builder.build(PairSources(asked, store, regions=classes), builder.Settings(), rules=rules)

    def near() -> Any:
        return Texts([question.question for question in asked.questions]).families(2)

    table, cpu, wall = timed(same)
    rows = [("same-question + selection", cpu, wall, f"{len(table):,} pairs")]
    families, cpu, wall = timed(near)
    distinct = len({question.question for question in asked.questions})
    rows.append(("near-duplicate questions", cpu, wall, f"{distinct:,} texts, {int(families.max()) + 1:,} families"))
    Path(store.path).unlink()
    return rows


def run_images(images: int, dim: int) -> list[tuple[str, float, float, str]]:
    vectors = standardised(vectors_of(images, dim))
    (found, _), cpu, wall = timed(lambda: nearest_images(vectors, NEIGHBOURS))
    note = f"recall {recall(vectors, found):.3f}, of planted ones {planted(found):.3f}"
    return [("near-duplicate images", cpu, wall, note)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=438_183)
    parser.add_argument("--images", type=int, default=123_287)
    parser.add_argument("--dim", type=int, default=2048, help="numbers of a region, for images")
    parser.add_argument("--part", choices=["questions", "images", "all"], default="all")
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 2, 1])
    arguments = parser.parse_args()
    first: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in arguments.parts:
            questions, images = arguments.questions // part, arguments.images // part
            rows = run_questions(Path(folder), questions, images) if arguments.part != "images" else []
            rows += run_images(images, arguments.dim) if arguments.part != "questions" else []
            print(f"{questions:,} questions, {images:,} images", flush=True)
            for name, cpu, wall, note in rows:
                base, size = first.setdefault(name, (cpu, images))
                growth = cpu / (base * images * math.log(images) / (size * math.log(size)))
                limit = f"{wall / LIMITS[name]:.2f} ({cpu / 2 / LIMITS[name]:.2f}) of the limit" if part == 1 else ""
                print(
                    f"  {name:26} {cpu:7.1f} CPU s {wall:7.1f} s  {growth:5.2f} of n log n  {note}  {limit}", flush=True
                )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"largest memory {memory:.1f} GB, {memory / MEMORY:.2f} of the limit")


if __name__ == "__main__":
    main()
