"""What the numbers of a region store look like: lengths, dead dimensions, equal images, images that stand out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from vqa_gs.features.geometry import grid_shape
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase

OUTSIDE = 1.0
OUTLIERS = 12
_SOME = 5


@dataclass
class StoreStats:
    """What was counted.

    Attributes:
        path: the store.
        images: in it.
        regions: in it.
        dim: numbers a region.
        counts: number of regions -> number of images, rising.
        lengths: the shortest, the quartiles and the longest of the lengths of region vectors; of finite ones.
        dead: dimensions that are the same in all regions.
        broken: images with NaN or infinity.
        duplicates: groups of images whose features are the same bytes.
        outside: images with boxes that leave them by more than a pixel.
        grids: (rows, columns) of images whose boxes are a grid's cells row by row, and how many have it, most first.
        outliers: (image, mean length of its regions, distance from the median in median absolute deviations), the
            farthest first.
    """

    path: str
    images: int
    regions: int
    dim: int
    counts: dict[int, int]
    lengths: list[float] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    broken: list[ImageId] = field(default_factory=list)
    duplicates: list[list[ImageId]] = field(default_factory=list)
    outside: list[ImageId] = field(default_factory=list)
    grids: list[tuple[tuple[int, int], int]] = field(default_factory=list)
    outliers: list[tuple[ImageId, float, float]] = field(default_factory=list)


def stats(path: StrPath, progress: Callable[[int, int | None], None] | None = None) -> StoreStats:
    """Reads a store once, in bounded memory.

    Args:
        path: the store.
        progress: called with the regions read and their number.

    Raises:
        DataError: no readable region store.
    """
    with RegionStore(path) as store:
        tables = store.tables
        counts = np.diff(tables.first)
        values, images = np.unique(counts, return_counts=True)
        histogram = dict(zip(values.tolist(), images.tolist(), strict=True))
        found = StoreStats(str(path), len(store), store.regions, store.dim, histogram)
        lengths = np.full(store.regions, np.nan, np.float32)
        low = np.full(store.dim, np.inf, np.float32)
        high = np.full(store.dim, -np.inf, np.float32)
        digests: defaultdict[bytes, list[ImageId]] = defaultdict(list)
        image, digest = 0, hashlib.blake2b(digest_size=16)
        with phase("reading the store", store.regions, "regions") as far:
            for first, block in store.blocks():
                with np.errstate(invalid="ignore", over="ignore"):
                    wide = block.astype(np.float32)
                    lengths[first : first + len(block)] = np.sqrt(np.einsum("ij,ij->i", wide, wide, dtype=np.float64))
                    np.fmin(low, wide.min(0), out=low)
                    np.fmax(high, wide.max(0), out=high)
                place, end = first, first + len(block)
                # An image may go on in the next block.
                while place < end:
                    stop = min(end, int(tables.first[image + 1]))
                    digest.update(np.ascontiguousarray(block[place - first : stop - first]).data)
                    place = stop
                    if stop == tables.first[image + 1]:
                        digests[digest.digest()].append(store.image_ids[image])
                        image, digest = image + 1, hashlib.blake2b(digest_size=16)
                far(len(block))
                if progress is not None:
                    progress(end, store.regions)
        finite = np.isfinite(lengths)
        if finite.any():
            found.lengths = np.quantile(lengths[finite], (0, 0.25, 0.5, 0.75, 1)).tolist()
        found.dead = np.nonzero(low == high)[0].tolist()
        found.broken = _images_of(store, ~finite)
        found.duplicates = [same for same in digests.values() if len(same) > 1]
        sizes = np.repeat(tables.sizes, counts, axis=0)
        leaves = (tables.boxes[:, :2] < -OUTSIDE).any(1) | (tables.boxes[:, 2:] > sizes + OUTSIDE).any(1)
        found.outside = _images_of(store, np.asarray(leaves))
        shapes = Counter(
            shape
            for first, end in zip(tables.first[:-1].tolist(), tables.first[1:].tolist(), strict=True)
            if (shape := grid_shape(tables.boxes[first:end])) is not None
        )
        found.grids = shapes.most_common()
        found.outliers = _outliers(store, np.where(finite, lengths, 0), counts)
        return found


def _images_of(store: RegionStore, regions: np.ndarray) -> list[ImageId]:
    rows = np.unique(np.searchsorted(store.tables.first, np.nonzero(regions)[0], side="right") - 1)
    return [store.image_ids[row] for row in rows.tolist()]


def _outliers(store: RegionStore, lengths: np.ndarray, counts: np.ndarray) -> list[tuple[ImageId, float, float]]:
    means = np.add.reduceat(lengths.astype(np.float64), store.tables.first[:-1]) / counts
    middle = float(np.median(means))
    gaps = np.abs(means - middle)
    # Where half of the images are alike, as of a store with copies, the mean gap has to do.
    spread = float(np.median(gaps)) or float(gaps.mean())
    if spread == 0:
        return []
    distance = gaps / spread
    order = np.argsort(-distance, kind="stable")[:OUTLIERS]
    return [(store.image_ids[row], float(means[row]), float(distance[row])) for row in order.tolist()]


def some(images: list[ImageId]) -> str:
    """Returns the first of a list of images as text."""
    more = f" and {len(images) - _SOME:,} more" if len(images) > _SOME else ""
    return ", ".join(str(image_id) for image_id in images[:_SOME]) + more


def facts(found: StoreStats) -> list[tuple[str, str]]:
    """Returns what was counted as lines of a name and a text."""
    names = ("shortest", "lower quartile", "median", "upper quartile", "longest")
    lengths = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, found.lengths, strict=False))
    pairs = "; ".join(" = ".join(map(str, same[:_SOME])) for same in found.duplicates[:_SOME])
    dead = ", ".join(map(str, found.dead[:_SOME])) + (" ..." if len(found.dead) > _SOME else "")
    grids = ", ".join(f"{rows} x {columns} ({images:,} images)" for (rows, columns), images in found.grids[:_SOME])
    return [
        ("images", f"{found.images:,}"),
        ("regions", f"{found.regions:,} of {found.dim:,} numbers, {min(found.counts)} to {max(found.counts)} an image"),
        *([("grids", grids)] if grids else []),
        ("lengths of vectors", lengths or "none is finite"),
        ("dead dimensions", f"{len(found.dead):,} of {found.dim:,}" + (f": {dead}" if dead else "")),
        ("NaN or infinity", f"{len(found.broken):,} images" + (f": {some(found.broken)}" if found.broken else "")),
        ("same features", f"{len(found.duplicates):,} groups of images" + (f": {pairs}" if pairs else "")),
        ("boxes outside", f"{len(found.outside):,} images" + (f": {some(found.outside)}" if found.outside else "")),
    ]
