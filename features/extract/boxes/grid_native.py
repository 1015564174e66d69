"""The cells of a convolutional network's last stage, each a region (Jiang et al. 2020)."""

from __future__ import annotations

from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, box_source, cells_of_backbone


@box_source("grid-native")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; it has no argument."""
    mend = "a transformer has patches: --boxes patches; else choose a convolutional network"
    return cells_of_backbone("grid-native", argument, settings, mend)
