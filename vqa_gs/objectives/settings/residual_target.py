"""Settings of the targets without the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled


@OBJECTIVES.settings("residual_target", "vqa_gs.objectives.terms.residual_target")
@dataclass(frozen=True)
class ResidualTargetSettings(Scheduled):
    """Settings of the targets without the prior.

    Attributes:
        weight: how far the targets are moved, at most 1; 0 leaves them as they are.
        residual: ``published`` or ``difference``.
    """

    residual: Literal["published", "difference"] = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight > 1:
            raise UsageError(f"objectives.residual_target.weight must be in [0, 1], got {self.weight}")
