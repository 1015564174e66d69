"""The one signature of every objective: what a training step shows it, what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor, nn

from vqa_gs.common.registry import Registry

OBJECTIVES: Registry[type[Objective]] = Registry("objective", "vqa_gs.objectives")


@dataclass
class Ends:
    """Both ends of P pairs: rows 0..P-1 are the ends a, rows P..2P-1 the ends b, in the same order.

    Attributes:
        logits: (2P, answers) float32.
        inputs: by place, the tensors the logits were computed from and can be differentiated by: ``regions``
            (2P, regions, dim), ``attended`` (2P, dim).
        directions: by place, from the partner to the example, shaped as the input; ``regions`` only where an
            alignment says which region corresponds to which.
        targets: (2P, answers) float32, soft targets.
        labels: (2P,) int64, the answer with the highest soft target, -1 where the vocabulary holds none.
        partner_labels: (2P,) int64, the same of the other end.
        weight: (2P,) float32, the pair's weight.
    """

    logits: Tensor
    inputs: dict[str, Tensor]
    directions: dict[str, Tensor]
    targets: Tensor
    labels: Tensor
    partner_labels: Tensor
    weight: Tensor


@dataclass
class Step:
    """One training step, as an objective sees it.

    Attributes:
        logits: (batch, answers) float32, of all rows: pair ends first, ordinary questions after them.
        targets: (batch, answers) float32, soft targets in [0, 1].
        row_weight: (batch,) float32, the weight of a row in the answer loss.
        rows: how many rows all processes' batches hold, divided by the number of processes. Sums are divided by it,
            so that gradients averaged over processes are those of one process with the whole batch.
        ends: the pairs of the step, None when there are none.
        end_rows: as ``rows``, for pair ends.
        epoch: how far training has come, in epochs, as a float; schedules look at it.
    """

    logits: Tensor
    targets: Tensor
    row_weight: Tensor
    rows: float
    ends: Ends | None = None
    end_rows: float = 0.0
    epoch: float = 0.0


class ObjectiveOutput(NamedTuple):
    """A term of the loss.

    Attributes:
        loss: () the term, its weight not yet applied.
        sums: detached () tensors for the log; each is a sum, to be divided by ``counts`` of the same name.
        counts: detached () tensors, what the sums are divided by.
        scale: what the term's weight is multiplied by at this moment of training (warm-up).
    """

    loss: Tensor
    sums: Mapping[str, Tensor] = MappingProxyType({})
    counts: Mapping[str, Tensor] = MappingProxyType({})
    scale: float = 1.0


class Objective(nn.Module):
    """A term of the loss: ``forward(step) -> ObjectiveOutput``.

    A subclass names its dataclass of settings, which has a field ``weight`` (0 switches the term off), and says by
    which inputs it wants to differentiate.
    """

    Settings: type[Any]
    needs_pairs = False

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def places(self) -> frozenset[str]:
        """Returns the inputs the term differentiates by: any of ``regions``, ``attended``."""
        return frozenset()

    def forward(self, step: Step) -> ObjectiveOutput:
        """Computes the term."""
        raise NotImplementedError
