"""Few changes: the less differs between two images, the more of it has to do with the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vqa_gs.pair_builders.selection_rule import Candidates, Chosen, selection

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """How much may differ.

    Args:
        distance: the largest distance of the two images that stays; pairs of unknown distance stay;
            None: any.
        share: keep this share of the pairs, the nearest ones, 0 to 1.
        classes: the most region classes that only one of the images has; None: any number.
    """

    distance: float | None = None
    share: float = 1.0
    classes: int | None = None

    def __post_init__(self) -> None:
        if self.distance is not None and not self.distance >= 0:
            raise UsageError(f"distance is {self.distance}", mend="give a number of 0 or more")
        if not 0 < self.share <= 1:
            raise UsageError(f"share is {self.share}", mend="give a share above 0, at most 1")


@selection("few-changed", Settings)
def few_changed(candidates: Candidates, settings: Settings) -> Chosen:
    """Keeps pairs of images that differ in little."""
    distance = candidates.table.distance
    keep = np.ones(len(distance), bool)
    if settings.distance is not None:
        keep = ~(distance > settings.distance)
    if settings.share < 1 and keep.any():
        nearest = np.argsort(np.where(np.isnan(distance), -1, distance), kind="stable")
        nearest = nearest[keep[nearest]]
        keep = np.zeros(len(distance), bool)
        keep[nearest[: max(1, round(settings.share * len(nearest)))]] = True
    if settings.classes is not None:
        keep &= candidates.sources.classes.differing(*candidates.images()) <= settings.classes
    return Chosen(keep)
