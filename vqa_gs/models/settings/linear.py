"""Settings of the linear classifier."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import LABEL_MODELS
from vqa_gs.models.shared_settings import LabelModelSettings


@LABEL_MODELS.settings("linear", "vqa_gs.models.labels.linear")
@dataclass(frozen=True)
class LinearSettings(LabelModelSettings):
    """Sizes and choices of the linear classifier."""
