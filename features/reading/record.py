"""Images that come one a record, from files of their own or a database: what they say, and what is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from vqa_gs.features.layout import ImageId
from vqa_gs.features.reading.sizes import NO_BOXES, NO_SIZES, corner_size, placeholder_boxes
from vqa_gs.features.reading.source import Damaged, ImageRegions, RegionSource

from vqa_gs.common.errors import DataError


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


Key = TypeVar("Key")

ANYTHING_ELSE = "another layout comes in with five lines of RegionStoreWriter, see docs/features.md"


class RecordSource(RegionSource, Generic[Key]):
    """A source of one record an image; what all images have is what the first record that can be read has.

    Attributes:
        path: the file or folder.
        unit: what a record is, for messages.
        parse: makes a record of its content; any Exception where it is damaged.
    """

    untyped_ids = True
    unit = "record"
    path: Path
    parse: Callable[[Any], Record]
    _has_boxes = False

    def contents(self) -> Iterator[tuple[Key, Callable[[], Any]]]:
        """Yields what each record is found by, and what reads it."""
        raise NotImplementedError

    def named(self, key: Key) -> tuple[ImageId, str]:
        """Returns a record's image id and its place, for messages."""
        raise NotImplementedError

    def damage(self, key: Key, problem: str) -> DataError:
        """Returns what to raise for a damaged record."""
        raise NotImplementedError

    def look(self) -> None:
        """Finds what the images have from the first record that can be read; DataError where none can."""
        damage = None
        for key, read in self.contents():
            try:
                record, image = self._load(key, read)
            except DataError as error:
                damage = damage or error
                continue
            self.close()
            self.dim, self.dtype = int(image.features.shape[1]), image.features.dtype
            self.columns, self.notes = tuple(image.columns), record.assumptions
            self._has_boxes = record.boxes is not None
            return
        raise damage or DataError("holds no images", file=self.path)

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images in the order of the records."""
        for key, read in self.contents():
            try:
                record, image = self._load(key, read)
                absent = sorted(set(self.columns) - set(image.columns))
                if self._has_boxes and record.boxes is None:
                    absent.append("boxes")
                if record.boxes is not None and not self._has_boxes:
                    raise self.damage(key, f"has boxes, which the first {self.unit} lacks")
                if absent:
                    raise self.damage(key, f"lacks {', '.join(absent)}, which the first {self.unit} has")
            except DataError as error:
                damaged(error)
                continue
            yield replace(image, columns={name: image.columns[name] for name in self.columns})

    def _load(self, key: Key, read: Callable[[], Any]) -> tuple[Record, ImageRegions]:
        try:
            record = self.parse(read())
            return record, record.image(*self.named(key))
        except OtherLayout as error:
            raise replace_mend(self.damage(key, str(error)), error.mend) from error
        except Exception as error:  # damaged records make their readers raise nearly anything
            text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise self.damage(key, f"not readable: {text[:300]}") from error


class OtherLayout(ValueError):
    """A record is whole, and not of the layout that was taken for granted: fetching it again would not help.

    Args:
        problem: what it is.
        mend: what to do about it.
    """

    def __init__(self, problem: str, mend: str = ANYTHING_ELSE) -> None:
        super().__init__(problem)
        self.mend = mend


def replace_mend(error: DataError, mend: str) -> DataError:
    """Returns an error with another way to mend it."""
    return DataError(error.problem, file=error.file, record=error.record, mend=mend)


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
