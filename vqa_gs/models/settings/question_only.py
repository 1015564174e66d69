"""Settings of the model that does not look."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import MODELS
from vqa_gs.models.shared_settings import RecurrentSettings


@MODELS.settings("question_only", "vqa_gs.models.vqa.question_only")
@dataclass(frozen=True)
class QuestionOnlySettings(RecurrentSettings):
    """Sizes and choices of the model that does not look; ``boxes`` and ``standardize`` do nothing."""
