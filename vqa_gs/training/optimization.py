"""Optimiser and learning rate of a run, from its settings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from vqa_gs.common.errors import UsageError
from vqa_gs.common.lazy import torch


@dataclass
class OptimizationConfig:
    """Optimiser and learning rate.

    Attributes:
        optimizer: which of torch's, with its betas.
        weight_decay: the optimiser's.
        lr: the learning rate, reached after the warm-up.
        schedule: ``constant`` keeps it; ``cosine`` lets it fall to 0 at the end along half a cosine (Loshchilov and
            Hutter, *SGDR*, ICLR 2017, one period), so that the last steps average out the noise of the first; ``step``
            multiplies it by ``decay_factor`` at each of ``decay_epochs``.
        decay_epochs: epochs, counted from 0, at whose beginning the schedule ``step`` acts.
        decay_factor: what it multiplies by.
        warmup_epochs: the rate rises linearly over so many epochs.
        warmup_start: the share of ``lr`` it begins at.
        rate_changes: at every ``step``, or only where an ``epoch`` begins.
    """

    optimizer: Literal["adamax", "adam", "adamw"] = "adamax"
    weight_decay: float = 0.0
    lr: float = 2e-3
    schedule: Literal["constant", "cosine", "step"] = "constant"
    decay_epochs: list[int] = field(default_factory=list)
    decay_factor: float = 0.25
    warmup_epochs: float = 0.0
    warmup_start: float = 0.0
    rate_changes: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        for name in ("lr", "decay_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} must be a positive number, not {getattr(self, name)}")
        for name in ("weight_decay", "warmup_epochs", "warmup_start"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} must not be negative, not {getattr(self, name)}")
        if bool(self.decay_epochs) != (self.schedule == "step"):
            raise UsageError("training.decay_epochs and training.schedule step go together")


def make_optimizer(settings: OptimizationConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Returns the optimiser of a run."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adamax": torch.optim.Adamax,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[settings.optimizer](parameters, lr=settings.lr, weight_decay=settings.weight_decay)  # type: ignore[call-arg]


def learning_rate(settings: OptimizationConfig, step: int, steps_per_epoch: int, total: int) -> float:
    """Returns the learning rate of a step: a pure function, so that resuming needs no state.

    Args:
        settings: of the run.
        step: steps done, 0 for the first.
        steps_per_epoch: steps of an epoch.
        total: steps of the whole run.

    Example:
        >>> settings = OptimizationConfig(lr=1.0, schedule="step", decay_epochs=[3], warmup_epochs=2, warmup_start=0.5)
        >>> [learning_rate(settings, step, 1, 5) for step in range(5)]
        [0.5, 0.75, 1.0, 0.25, 0.25]
    """
    if settings.rate_changes == "epoch":
        step -= step % steps_per_epoch
    rate, epoch = settings.lr, step / steps_per_epoch
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * min(step, total) / max(total, 1)))
    for start in settings.decay_epochs:
        rate *= settings.decay_factor if epoch >= start else 1.0
    if epoch < settings.warmup_epochs:
        rate *= settings.warmup_start + (1 - settings.warmup_start) * epoch / settings.warmup_epochs
    return rate
