"""Settings of the MLP."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import LABEL_MODELS
from vqa_gs.models.shared_settings import LabelModelSettings


@LABEL_MODELS.settings("mlp", "vqa_gs.models.labels.mlp")
@dataclass(frozen=True)
class MlpSettings(LabelModelSettings):
    """Sizes and choices of the MLP."""
