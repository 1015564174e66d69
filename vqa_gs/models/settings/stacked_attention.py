"""Settings of stacked attention."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import MODELS
from vqa_gs.models.shared_settings import RecurrentSettings, check_widths


@MODELS.settings("stacked_attention", "vqa_gs.models.vqa.stacked_attention")
@dataclass(frozen=True)
class StackedAttentionSettings(RecurrentSettings):
    """Sizes and choices of stacked attention, beside those of all models.

    Attributes:
        boxes: boxes are among a region's numbers, and the second look knows where a region lies from what was found.
        dropout_attention: dropout on what the attention sees of a region.
        geometry: hidden numbers for where a region lies from what was found.
        gates: regions are also counted: gates of 0 to 1 are summed.
        counts: counts from 0 to so many are told apart.
    """

    boxes: bool = True
    dropout_attention: float = 0.2
    geometry: int = 32
    gates: bool = False
    counts: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self, "dropout_attention", "geometry", "counts")
