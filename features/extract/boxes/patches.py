"""The patches of a vision transformer: every token a region, its box the patch in the original image's pixels."""

from __future__ import annotations

from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, box_source, cells_of_backbone


@box_source("patches")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; it has no argument."""
    return cells_of_backbone("patches", argument, settings, "choose a vision transformer, as vit_base_patch16_clip_224")
