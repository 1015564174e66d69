"""Settings of the convolution over words."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.common.errors import UsageError
from vqa_gs.models import TEXT_MODELS
from vqa_gs.models.shared_settings import TextSettings


@TEXT_MODELS.settings("convolved", "vqa_gs.models.text.convolved")
@dataclass(frozen=True)
class ConvolvedSettings(TextSettings):
    """Sizes and choices of the convolution.

    Attributes:
        states: numbers a state has.
        width: words a state sees, an odd number; 1 is a layer for each word by itself.
    """

    states: int = 32
    width: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.states < 1 or self.width < 1 or self.width % 2 == 0:
            raise UsageError(f"model.states must be positive and model.width odd, not {self.states} and {self.width}")
