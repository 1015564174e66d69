"""The boxes of another region store, to read other features off the same regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.boxes import (
    BoxSettings,
    BoxSource,
    Found,
    RegionLimits,
    box_source,
    require_argument,
    require_size,
)
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import StrPath

if TYPE_CHECKING:
    from PIL import Image


@box_source("store")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; its argument is the store."""
    return StoreBoxes(require_argument("store", argument, "a region store"), settings.limits)


class StoreBoxes(BoxSource):
    """Another store's boxes, in its order, with what it knows of them."""

    def __init__(self, path: StrPath, limits: RegionLimits) -> None:
        self._store = RegionStore(path)
        self._rows = {image_id: row for row, image_id in enumerate(self._store.image_ids)}
        self._limits = limits
        self.columns = self._store.columns
        self.facts: dict[str, Any] = {
            "source": "store",
            "content_hash": self._store.content_hash,
            "regions": str(limits),
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        self._store.counts([image_id])  # names an image that is not there
        tables, row = self._store.tables, self._rows[image_id]
        width, height = tables.sizes[row].tolist()
        require_size(image_id, self._store.path, (width, height), image.size)
        part = slice(tables.first[row], min(tables.first[row + 1], tables.first[row] + self._limits.high))
        return Found(np.array(tables.boxes[part]), {name: np.array(c[part]) for name, c in tables.columns.items()})
