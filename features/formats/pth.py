"""Folders with a ``torch.save`` file for each image: ``IMAGE_ID.pth`` of CSS, ``COCO_..._IMAGE_ID.jpg.pth`` of rubi.

A dictionary with ``image_feature (R, D)``, or with ``pooled_feat (R, D)``, ``rois (R, 4)`` in pixels and ``norm_rois
(R, 4)`` as fractions, from which the image's size is recovered; or a tensor (R, D) alone. Tensors or NumPy arrays,
saved by any version of torch, under Python 2 too. Nothing but those is unpickled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.formats.npy import rows
from vqa_gs.features.reading.folder import FolderFormat
from vqa_gs.features.reading.record import OtherLayout, Record
from vqa_gs.features.reading.sizes import image_size
from vqa_gs.features.reading.torch_file import read_torch

_FEATURES = ("image_feature", "pooled_feat")


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    raise ValueError(f"a tensor or an array was expected, not {type(value).__name__}")


def parse(content: bytes) -> Record:
    """Makes a record of a file's bytes; any Exception where they are damaged."""
    saved = read_torch(content)
    if isinstance(saved, np.ndarray):
        return Record(rows(saved))
    if not isinstance(saved, dict):
        raise OtherLayout(f"a dictionary was expected, not {type(saved).__name__}")
    name = next((name for name in _FEATURES if name in saved), None)
    if name is None:
        raise OtherLayout(f"it has neither {' nor '.join(_FEATURES)}, but {', '.join(map(str, saved))[:200]}")
    features = _array(saved[name])
    if "rois" not in saved:
        return Record(features)
    boxes = _array(saved["rois"])
    if "norm_rois" not in saved:
        return Record(features, boxes)
    fractions = _array(saved["norm_rois"])
    if boxes.ndim != 2 or boxes.shape != fractions.shape or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"rois of shape {boxes.shape} and norm_rois of shape {fractions.shape}")
    size = image_size(boxes, fractions)
    if size is None:
        raise ValueError("rois and norm_rois contradict each other")
    return Record(features, boxes, size)


FORMATS.register("pth")(FolderFormat((".pth", ".pt"), parse))
