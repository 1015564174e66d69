"""When a term of the loss acts: settings that all auxiliary terms share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class Scheduled:
    """Weight of a term over training.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off.
        start_epoch: the term is left out before this epoch, which costs nothing; epochs are counted from 0.
        warmup_epochs: from then on its weight rises linearly from 0 over so many epochs.
        decay_start: its weight falls linearly from this epoch on; only with ``decay_epochs``.
        decay_epochs: ... to 0 over so many epochs; 0: it never falls.
    """

    weight: float = 0.0
    start_epoch: float = 0.0
    warmup_epochs: float = 0.0
    decay_start: float = 0.0
    decay_epochs: float = 0.0

    def __post_init__(self) -> None:
        for name in Scheduled.__dataclass_fields__:
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"objectives: {name} must be a number that is not negative, got {getattr(self, name)}")

    def scale(self, epoch: float) -> float:
        """Returns what the weight is multiplied by at an epoch (a float, counted from 0), in [0, 1]."""
        if epoch < self.start_epoch:
            return 0.0
        since = epoch - self.start_epoch
        rise = min(1.0, since / self.warmup_epochs) if self.warmup_epochs > 0 else 1.0
        gone = (epoch - self.decay_start) / self.decay_epochs if self.decay_epochs > 0 else 0.0
        return rise * min(1.0, max(0.0, 1.0 - gone))
