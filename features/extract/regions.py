"""The regions of an image as extraction passes them on, and how many there may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class RegionLimits:
    """How many regions an image gets: at least ``low`` where there are as many, at most ``high``."""

    low: int = 10
    high: int = 100

    @staticmethod
    def parse(text: str) -> RegionLimits:
        """Returns the limits of ``36`` or ``10-100``.

        Raises:
            UsageError: it is neither, or makes no sense.
        """
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= low <= high:
            raise UsageError(f"{text!r} is no number of regions", mend="give a number, as 36, or a range, as 10-100")
        return RegionLimits(low, high)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass(frozen=True)
class Found:
    """The boxes of one image.

    Attributes:
        boxes: (n, 4) float32, x1, y1, x2, y2 in pixels of the upright image; n may be 0.
        columns: (n,) each, what is known of the boxes: names of ``layout.COLUMNS``.
    """

    boxes: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Described(Found):
    """The boxes of one image with their features.

    Attributes:
        features: (n, dim) floats.
    """

    features: np.ndarray = field(kw_only=True)
