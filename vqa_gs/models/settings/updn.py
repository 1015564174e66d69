"""Settings of UpDn."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.models import MODELS
from vqa_gs.models.shared_settings import RecurrentSettings, check_widths


@MODELS.settings("updn", "vqa_gs.models.vqa.updn")
@dataclass(frozen=True)
class UpDnSettings(RecurrentSettings):
    """Sizes and choices of the UpDn model, beside those of all models.

    Attributes:
        dropout_attention: dropout on the attention's joint vector.
    """

    dropout_attention: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self, "dropout_attention")
