"""Settings of the bidirectional GRU."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import TEXT_MODELS
from vqa_gs.models.shared_settings import TextSettings


@TEXT_MODELS.settings("bigru", "vqa_gs.models.text.bigru")
@dataclass(frozen=True)
class BiGruSettings(TextSettings):
    """Sizes and choices of the bidirectional GRU.

    Attributes:
        states: numbers a state has in each direction.
    """

    states: int = 32
