"""A regular grid: boxes for images nobody has drawn any in, the same for all of a size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, Found, RegionLimits, box_source, refuse_argument
from vqa_gs.features.geometry import grid_boxes
from vqa_gs.features.layout import ImageId

if TYPE_CHECKING:
    from PIL import Image


@box_source("grid")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; it has no argument."""
    refuse_argument("grid", argument)
    return Grid(settings.limits)


class Grid(BoxSource):
    """The whole image, then the cells of a grid: as many as there may be regions, or nearly."""

    def __init__(self, limits: RegionLimits) -> None:
        self.short, self.long = grid_shape(limits.high - 1)
        self.facts: dict[str, Any] = {"source": "grid", "cells": [self.short, self.long], "whole": True}

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        width, height = image.size
        rows, columns = (self.short, self.long) if width >= height else (self.long, self.short)
        return Found(grid_boxes(width, height, rows, columns))


def grid_shape(cells: int) -> tuple[int, int]:
    """Returns the two sides of the largest grid of at most so many cells, its sides no more than twofold apart.

    35 cells are 5 x 7, and 36 regions with the whole image; 99 are 9 x 11; 9 are 3 x 3.
    """
    best = (0, 0)
    for short in range(1, int(cells**0.5) + 1):
        long = min(cells // short, 2 * short)
        if short * long >= best[0] * best[1]:
            best = short, long
    # One cell would be the whole image again.
    return best if best != (1, 1) else (0, 0)
