"""Which boxes are kept: the bottom-up recipe, and greedy suppression for boxes that have no classes."""

from __future__ import annotations

import numpy as np
import torch
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.geometry import box_iou

CONFIDENCE = 0.2
OVERLAP = 0.3


def select_regions(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    limits: RegionLimits,
    confidence: float = CONFIDENCE,
    overlap: float = OVERLAP,
) -> torch.Tensor:
    """Returns which proposals become regions, as ``generate_tsv.py`` of bottom-up-attention chooses them.

    Within each class, boxes are suppressed that overlap a more certain one; a box's confidence is that of the
    best class in which it survives, or 0. Kept are all of at least ``confidence``, in the order given; where
    they are too few or too many, the ``low`` or ``high`` most confident, the best first.

    Args:
        boxes: (n, 4).
        scores: (n, classes), the background left out.
        limits: how many to keep.
        confidence: see above.
        overlap: intersection over union above which a box is suppressed.

    Returns:
        (k,) int64 indices; k is less than ``low`` only where n is.
    """
    from torchvision.ops import nms

    best = torch.zeros(len(boxes), device=boxes.device)
    for column in scores.float().unbind(1):
        kept = nms(boxes.float(), column, overlap)
        best[kept] = torch.maximum(best[kept], column[kept])
    kept = torch.nonzero(best >= confidence).flatten()
    if limits.low <= len(kept) <= limits.high:
        return kept
    order = torch.argsort(best, descending=True, stable=True)
    return order[: limits.low if len(kept) < limits.low else limits.high]


def suppress(boxes: np.ndarray, overlap: float, limit: int) -> np.ndarray:
    """Returns the first ``limit`` boxes, in the order given, of which none overlaps an earlier one too much.

    Args:
        boxes: (n, 4), the best first.
        overlap: intersection over union above which the later box goes.
        limit: how many to keep.

    Returns:
        (k,) int64 indices.
    """
    kept: list[int] = []
    for number, box in enumerate(boxes):
        if len(kept) == limit:
            break
        if not kept or box_iou(box[None], boxes[kept])[0].max() <= overlap:
            kept.append(number)
    return np.array(kept, np.int64)
