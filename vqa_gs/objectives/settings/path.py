"""Settings of the path term."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.common.errors import UsageError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.choices import Variant
from vqa_gs.objectives.schedule import Scheduled


@OBJECTIVES.settings("path", "vqa_gs.objectives.terms.path")
@dataclass(frozen=True)
class PathSettings(Scheduled):
    """Settings of the path term.

    Attributes:
        variant: the decision function, as of gradient supervision.
        points: how many points are drawn on each segment at a step, by stratum: one in each of so many equal parts.
        noise: standard deviation of what is added to every number of a region, in the units of the prepared regions.
        mix: share of the regions that are replaced by those of another pair end of the step, their direction by zero;
            the region that differs most is never.
    """

    variant: Variant = "contrast"
    points: int = 1
    noise: float = 0.0
    mix: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mix <= 1 or not 0 <= self.noise < float("inf"):
            raise UsageError(f"objectives.path: noise {self.noise} must be at least 0, mix {self.mix} in [0, 1]")
        if self.points < 1:
            raise UsageError(f"objectives.path.points must be at least 1, got {self.points}")
