"""The objects of a COCO instances file: boxes people drew."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.boxes import (
    BoxSettings,
    BoxSource,
    Found,
    RegionLimits,
    box_source,
    clipped,
    require_argument,
    require_size,
)
from vqa_gs.features.geometry import box_area
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file, sha256_file

if TYPE_CHECKING:
    from PIL import Image


@box_source("coco")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; its argument is the instances file."""
    return CocoInstances(require_argument("coco", argument, "an instances file"), settings.limits)


class CocoInstances(BoxSource):
    """An image's annotated objects, the largest first, with their categories.

    A crowd, many objects under one mask, is one region: the box around its mask. Annotations without a box get
    the one around their mask too.
    """

    columns = ("class",)

    def __init__(self, path: StrPath, limits: RegionLimits) -> None:
        from pycocotools.coco import COCO

        self._file = require_file(path, "COCO instances")
        self._limits = limits
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it talks while it reads
                self._coco = COCO(str(self._file))
            self._images = self._coco.imgs
            if not self._images:
                raise KeyError("images")
        except Exception as error:  # pycocotools indexes what it finds, and raises whatever comes of it
            raise DataError(
                f"not a COCO instances file: {type(error).__name__}: {error}",
                file=self._file,
                mend="give annotations such as instances_val2014.json",
            ) from error
        self.facts: dict[str, Any] = {
            "source": "coco",
            "sha256": sha256_file(self._file),
            "order": "area",
            "regions": str(limits),
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        about = self._images.get(image_id)
        if about is None:
            raise DataError("the COCO instances file has no such image", file=self._file, record=f"image {image_id}")
        if "width" in about and "height" in about:
            require_size(image_id, self._file, (about["width"], about["height"]), image.size)
        annotations = self._coco.imgToAnns.get(image_id, [])
        try:
            boxes = np.array([self._box(annotation) for annotation in annotations], np.float32).reshape(-1, 4)
            classes = np.array([annotation["category_id"] for annotation in annotations], np.int32)
        except Exception as error:  # masks are decoded in C, with errors of any kind
            raise DataError(
                f"an annotation is damaged: {type(error).__name__}: {error}",
                file=self._file,
                record=f"image {image_id}",
            ) from error
        order = np.argsort(-box_area(boxes), kind="stable")
        return clipped(Found(boxes[order], {"class": classes[order]}), image.size, self._limits.high)

    def _box(self, annotation: dict[str, Any]) -> list[float]:
        from pycocotools import mask

        x, y, width, height = annotation.get("bbox") or (0, 0, 0, 0)
        if (annotation.get("iscrowd") or not (width > 0 and height > 0)) and annotation.get("segmentation"):
            x, y, width, height = mask.toBbox(self._coco.annToRLE(annotation)).tolist()
        return [x, y, x + width, y + height]
