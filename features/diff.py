"""Two region stores beside each other: the same images, the same numbers, and where they first differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from vqa_gs.features.fingerprint import differences
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase

_SOME = 5


@dataclass
class StoreDiff:
    """What differs between two stores.

    Attributes:
        images: how many are in both.
        lines: what differs, a line each; none where the stores say the same.
        first: the first image, in the first store's order, whose regions differ.
        largest: the largest difference of a number of features, of images with as many regions in both.
        different: how many images' regions differ.
    """

    images: int = 0
    lines: list[str] = field(default_factory=list)
    first: ImageId | None = None
    largest: float = 0.0
    different: int = 0


def diff(a: StrPath, b: StrPath, progress: Callable[[int, int | None], None] | None = None) -> StoreDiff:
    """Compares two stores image by image, in bounded memory; where an image lies in a store does not matter.

    Args:
        a: a store.
        b: another one.
        progress: called with the images done and their number.

    Raises:
        DataError: one of them is missing or damaged.
    """
    with RegionStore(a) as one, RegionStore(b) as other:
        found = StoreDiff()
        _heads(one, other, found)
        both = [image_id for image_id in one.image_ids if image_id in other]
        found.images = len(both)
        counts = boxes = sizes = columns = 0
        largest_box = 0.0
        shared = sorted(set(one.columns) & set(other.columns))
        with phase("comparing", len(both), "images") as far:
            for done, image_id in enumerate(both, 1):
                mine, theirs = one[image_id], other[image_id]
                if mine.features.shape != theirs.features.shape:
                    counts += len(mine.features) != len(theirs.features)
                    is_same = False
                else:
                    gap = _largest(mine.features, theirs.features)
                    box = _largest(mine.boxes, theirs.boxes)
                    found.largest, largest_box = max(found.largest, gap), max(largest_box, box)
                    boxes += box > 0
                    other_columns = any((mine.columns[name] != theirs.columns[name]).any() for name in shared)
                    columns += other_columns
                    is_same = not (gap or box or other_columns)
                other_size = (mine.size != theirs.size).any()
                sizes += bool(other_size)
                if not is_same or other_size:
                    found.different += 1
                    found.first = image_id if found.first is None else found.first
                far(1)
                if progress is not None:
                    progress(done, len(both))
        if found.different:
            found.lines.append(f"{found.different:,} of {len(both):,} images differ, the first: {found.first!r}")
        if found.largest:
            found.lines.append(f"features: largest difference {found.largest:.6g}")
        if counts:
            found.lines.append(f"{counts:,} images have other numbers of regions")
        if boxes:
            found.lines.append(f"boxes: {boxes:,} images differ, by up to {largest_box:.6g} pixels")
        if sizes:
            found.lines.append(f"sizes: {sizes:,} images differ")
        if columns:
            found.lines.append(f"{', '.join(shared)}: {columns:,} images differ")
        return found


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other).max(initial=0))


def _heads(one: RegionStore, other: RegionStore, found: StoreDiff) -> None:
    for what, mine, theirs in (
        ("numbers a region", one.dim, other.dim),
        ("type", one.dtype.name, other.dtype.name),
        ("columns", ", ".join(one.columns) or "none", ", ".join(other.columns) or "none"),
        ("kind of image ids", type(one.image_ids[0]).__name__, type(other.image_ids[0]).__name__),
    ):
        if mine != theirs:
            found.lines.append(f"{what}: {mine} and {theirs}")
    for store, rest in ((one, other), (other, one)):
        if rest_lacks := [image_id for image_id in store.image_ids if image_id not in rest]:
            more = f" and {len(rest_lacks) - _SOME:,} more" if len(rest_lacks) > _SOME else ""
            told = ", ".join(repr(image_id) for image_id in rest_lacks[:_SOME])
            found.lines.append(f"{len(rest_lacks):,} images are in {store.path} only: {told}{more}")
    if one.image_ids != other.image_ids and set(one.image_ids) == set(other.image_ids):
        found.lines.append("the images are in another order")
    if otherwise := differences(one.fingerprint, other.fingerprint):
        found.lines.append(f"made otherwise: {'; '.join(otherwise[:3])}")
