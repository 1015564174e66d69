"""COCO instances: the regions that show an object which the question or the answer names.

A region shows an instance if enough of its box is covered by the instance's mask, or if its box and the instance's are
about the same (overlap of boxes, intersection over union).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.geometry import box_iou
from vqa_gs.pair_builders.classes.questions import classes_in_question
from vqa_gs.pair_builders.classes.words import ClassWords
from vqa_gs.pair_builders.evidence_source import Evidence, box_sums, evidence
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.instances import read_instances


@dataclass(frozen=True)
class Settings:
    """Which file, and when a region shows an instance.

    Args:
        file: COCO instances JSON.
        overlap: how much of a region's box an instance covers, or both boxes have in common.
    """

    file: Path | None = None
    overlap: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap is {self.overlap}", mend="give a part above 0, at most 1")


@evidence("instances", Settings)
def from_instances(sources: PairSources, settings: Settings) -> tuple[Iterator[Evidence], dict[str, str]]:
    """Regions that show an instance of the category named."""
    if settings.file is None:
        raise UsageError("masks from COCO instances need their file", mend="name it with --instances.file")
    coco, digest = read_instances(settings.file)
    images = {image_id for image_id in sources.questions.image_ids if image_id in coco.imgs}
    if not images:
        raise DataError(
            "has none of the images asked about", file=settings.file, mend="take the instances of the same split"
        )
    return _instances(sources, settings, coco), {str(settings.file): digest}


def _instances(sources: PairSources, settings: Settings, coco: Any) -> Iterator[Evidence]:
    store = sources.require_store()
    categories = sorted(coco.cats.values(), key=lambda category: category["id"])
    words = ClassWords([category["name"] for category in categories])
    for row, image_id in enumerate(sources.questions.image_ids):
        named = (
            classes_in_question(words, *sources.ends.asked(row)) if image_id in coco.imgs and image_id in store else []
        )
        for name in named:
            found = [given for given in coco.imgToAnns[image_id] if given["category_id"] == categories[name]["id"]]
            if not found:
                continue
            regions = store[image_id]
            scale = np.array([coco.imgs[image_id]["width"], coco.imgs[image_id]["height"]]) / regions.size
            boxes = regions.boxes * np.tile(scale, 2)
            units = [_shown(coco, given, boxes, settings) for given in found]
            crowd = any(given.get("iscrowd") for given in found)
            # An instance without a region cannot be removed: what is left still shows it.
            complete = all(len(unit) for unit in units)
            number = float("nan") if crowd else float(len(units))
            yield Evidence(row, [unit for unit in units if len(unit)], name, complete, number)


def _shown(coco: Any, given: dict[str, Any], boxes: NDArray[np.float64], settings: Settings) -> NDArray[np.int64]:
    """Returns the regions that show one instance."""
    try:
        mask = coco.annToMask(given).astype(np.float64)
        x, y, width, height = map(float, given["bbox"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"an instance without a usable mask or box: {type(error).__name__}: {error}",
            file=settings.file,
            record=f"annotation {given.get('id')}",
        ) from error
    own = np.array([[x, y, x + width, y + height]])
    return np.flatnonzero(
        (mask_coverage(mask, boxes) >= settings.overlap) | (box_iou(boxes, own)[:, 0] >= settings.overlap)
    )


def mask_coverage(mask: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the part of each box (R, 4, pixels) that a mask (height, width) covers, (R,)."""
    height, width = mask.shape
    corners = np.rint(boxes).astype(int).clip(0, [width, height, width, height])
    return box_sums(mask, corners) / np.maximum((corners[:, 2:] - corners[:, :2]).prod(axis=1), 1)
