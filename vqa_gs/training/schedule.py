"""The learning rate of a step: a pure function of the settings and the step, so that resuming needs no state."""

from __future__ import annotations

import math
from typing import Literal

from vqa_gs.common.errors import UsageError

Schedule = Literal["constant", "cosine"]


def learning_rate(lr: float, schedule: str, step: int, total: int) -> float:
    """Returns the learning rate of a step.

    Args:
        lr: the rate training starts with.
        schedule: ``constant`` keeps it; ``cosine`` lets it fall to 0 along half a cosine (Loshchilov and Hutter,
            *SGDR*, ICLR 2017, one period). The last steps then average out the noise of the first, which lifts
            accuracy without training longer.
        step: steps done, 0 for the first.
        total: steps of the whole run.

    Raises:
        UsageError: there is no such schedule.
    """
    if schedule == "constant":
        return lr
    if schedule == "cosine":
        return lr * 0.5 * (1 + math.cos(math.pi * min(step, total) / max(total, 1)))
    raise UsageError(f"there is no learning rate schedule {schedule!r}", mend="choose constant or cosine")
