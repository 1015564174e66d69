"""Settings of the zero-out regulariser."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled


@OBJECTIVES.settings("zero_out", "vqa_gs.objectives.terms.zero_out")
@dataclass(frozen=True)
class ZeroOutSettings(Scheduled):
    """Settings of the zero-out regulariser.

    The paper adds it with weight 2 to a model that was trained without it before; ``start_epoch`` does the same
    within one run.
    """
