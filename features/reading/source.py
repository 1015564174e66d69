"""What a feature format gives when it is opened: images one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError


@dataclass(frozen=True)
class ImageRegions:
    """One image as a format yields it.

    Attributes:
        image_id: int or str, as the source has it.
        features: (R, D) floats.
        boxes: (R, 4), x1, y1, x2, y2 in pixels.
        size: (2,) width and height.
        record: where in the source it stands ("row 17"), for messages.
        columns: (R,) each, those the source names in its ``columns``.
    """

    image_id: ImageId
    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    record: str
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


Damaged = Callable[[DataError], None]
"""Told of every record that cannot be read; it raises, or returns for the reading to go on with the next."""


def refuse_damaged(error: DataError) -> None:
    """Raises: the first damaged record ends the reading."""
    raise error


class RegionSource:
    """An open source; iterating it reads it once, in bounded memory, in its own order.

    Attributes:
        dim: numbers a region.
        dtype: the features' type in the source.
        images: how many images will come, about; None where only reading tells.
        notes: what had to be assumed ("no image sizes"), for the user.
        columns: which of ``layout.COLUMNS`` every image has.
        untyped_ids: image ids were text without a type, so that numbers among them may stand for ints.
    """

    dim: int
    dtype: np.dtype
    images: int | None
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    untyped_ids: bool = False

    def read(self, damaged: Damaged) -> Iterator[ImageRegions]:
        """Yields the images; ``damaged`` gets a DataError naming file and record for each that cannot be read."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[ImageRegions]:
        return self.read(refuse_damaged)

    def listed(self) -> list[ImageId] | None:
        """Returns the ids that ``read`` will yield, as the source has them; None where only reading tells."""
        return None

    def digests(self) -> list[str]:
        """Returns the SHA-256 of what was read, for the record of where features came from."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the files."""
