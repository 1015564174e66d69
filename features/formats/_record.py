"""Images that come one a record, from files of their own or a database: what they say, and what is made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from vqa_gs.features.formats import ImageRegions
from vqa_gs.features.formats._sizes import NO_BOXES, NO_SIZES, corner_size, placeholder_boxes
from vqa_gs.features.layout import ImageId


@dataclass(frozen=True)
class Record:
    """What a record says of its image.

    Attributes:
        features: (R, D) floats.
        boxes: (R, 4) pixels; None if it has none.
        size: width and height; None if it does not say.
        columns: (R,) each, of ``layout.COLUMNS``.
    """

    features: np.ndarray
    boxes: np.ndarray | None = None
    size: tuple[int, int] | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What has to be made up, for the user."""
        if self.boxes is None:
            return (NO_BOXES,)
        return (NO_SIZES,) if self.size is None else ()

    def image(self, image_id: ImageId, place: str) -> ImageRegions:
        """Returns the image; ValueError where its parts do not fit each other."""
        features = self.features
        if features.ndim != 2 or features.dtype.kind != "f" or 0 in features.shape:
            raise ValueError(f"features of shape {features.shape} and type {features.dtype}")
        boxes, size = self.boxes, self.size
        if boxes is None:
            return ImageRegions(image_id, features, placeholder_boxes(len(features)), (1, 1), place, self.columns)
        if boxes.shape != (len(features), 4) or boxes.dtype.kind not in "fiu":
            raise ValueError(f"{len(features)} regions but boxes of shape {boxes.shape} and type {boxes.dtype}")
        if not np.isfinite(boxes).all() or np.abs(boxes).max() >= 2**31:
            raise ValueError("a box holds NaN, infinity or what is no pixel")
        return ImageRegions(image_id, features, boxes, size or corner_size(boxes), place, self.columns)


def whole_number(value: Any) -> int:
    """Returns a number that may be a NumPy scalar or an array of one; ValueError where it is no whole number."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    number = array.reshape(-1)[0]
    if number != int(number):
        raise ValueError(f"{number} is no whole number")
    return int(number)


def named_columns(values: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns the columns a dictionary has, ``names`` being column -> key."""
    found = {column: values.get(key) for column, key in names.items()}
    return {column: np.asarray(value) for column, value in found.items() if value is not None}


DETECTED = {
    "class": "objects_id",
    "class_score": "objects_conf",
    "attribute": "attrs_id",
    "attribute_score": "attrs_conf",
}
"""Column -> what the extractors of the bottom-up family call it."""
