"""Selective search (Uijlings et al., IJCV 2013) of OpenCV: boxes around what hangs together, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, Found, RegionLimits, box_source, refuse_argument
from vqa_gs.features.extract.opencv import require_opencv, shrunk
from vqa_gs.features.extract.suppression import suppress
from vqa_gs.features.geometry import box_area
from vqa_gs.features.layout import ImageId

if TYPE_CHECKING:
    from PIL import Image

_LONG_SIDE = 300
_OVERLAP = 0.5
_SMALLEST = 0.002


@box_source("selective-search")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; it has no argument."""
    refuse_argument("selective-search", argument)
    return SelectiveSearch(settings.limits)


class SelectiveSearch(BoxSource):
    """The boxes of selective search's fast mode, the largest first, without those that overlap a larger one.

    OpenCV ranks its boxes by random numbers; size ranks them here, so that the same image has the same boxes.
    """

    def __init__(self, limits: RegionLimits) -> None:
        self._cv2 = require_opencv("selective-search")
        self._limits = limits
        self.facts: dict[str, Any] = {
            "source": "selective-search",
            "mode": "fast",
            "long_side": _LONG_SIDE,
            "overlap": _OVERLAP,
            "smallest": _SMALLEST,
            "regions": str(limits),
            "opencv": self._cv2.__version__,
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        pixels, factor = shrunk(image, _LONG_SIDE)
        search = self._cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(pixels)
        search.switchToSelectiveSearchFast()
        found = np.array(search.process(), np.float32).reshape(-1, 4)
        boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], 1) * factor
        boxes = np.unique(boxes[box_area(boxes) >= _SMALLEST * image.size[0] * image.size[1]], axis=0)
        boxes = boxes[np.argsort(-box_area(boxes), kind="stable")].astype(np.float32)
        return Found(boxes[suppress(boxes, _OVERLAP, self._limits.high)])
