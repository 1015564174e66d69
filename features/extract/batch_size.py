"""The largest batch that fits a device."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from vqa_gs.features.extract.backbones import Backbone
from vqa_gs.features.extract.boxes import BoxSource, NetworkRegions
from vqa_gs.features.extract.journal import header_of
from vqa_gs.features.extract.regions import Found
from vqa_gs.features.extract.run import BATCH

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import StrPath

LARGEST = 1024
_BOXES = 100


def largest_batch(backbone: Backbone, source: BoxSource, most: int = LARGEST) -> int:
    """Returns how many images of the largest size go through a network at once: a power of two.

    On a processor images go one by one, so that the usual number will do.

    Args:
        backbone: makes the features.
        source: of the boxes; the network's own regions are tried where it gives them.
        most: no more than this.

    Raises:
        UsageError: not even one image fits.
    """
    if backbone.device == "cpu":
        return BATCH
    # The largest picture there can be: both sides at their limit.
    pixels = torch.zeros(3, backbone.short_side, backbone.long_side, dtype=torch.uint8)
    width, height = backbone.long_side, backbone.short_side
    boxes = Found(np.tile(np.array([[0, 0, width, height]], np.float32), (_BOXES, 1)))
    is_own = isinstance(source, NetworkRegions) and source.network is backbone
    fits, size = 0, 1
    while size <= most:
        try:
            inputs, sizes = [pixels] * size, [(width, height)] * size
            if is_own:
                backbone.extract(inputs, sizes)
            else:
                backbone.extract(inputs, sizes, [boxes] * size)
        except torch.OutOfMemoryError:
            break
        fits, size = size, 2 * size
    if backbone.device == "cuda":
        torch.cuda.empty_cache()
    if not fits:
        raise UsageError("not even one image fits into the device's memory", mend="lower --short-side or --long-side")
    return fits


def interrupted_batch(out: StrPath) -> int | None:
    """Returns the batch size of an extraction that was stopped, which it has to go on with; None if there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        size = json.loads(header_of(Path(out)))["batch_size"]
        return size if isinstance(size, int) and size >= 1 else None
    return None
