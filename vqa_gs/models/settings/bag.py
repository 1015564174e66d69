"""Settings of the bag of word embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import TEXT_MODELS
from vqa_gs.models.shared_settings import TextSettings


@TEXT_MODELS.settings("bag", "vqa_gs.models.text.bag")
@dataclass(frozen=True)
class BagSettings(TextSettings):
    """Sizes and choices of the bag of word embeddings."""
