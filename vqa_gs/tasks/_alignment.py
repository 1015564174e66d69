"""From the gather indices of a batch to the rows its directions are taken by."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_builders.directions import counterpart_rows


def counterparts(alignment: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Returns where the regions (or words) of each end have their counterparts, and which move.

    Args:
        alignment: the four parts of `pair_builders.directions.AlignmentIndex`, each (P, width).

    Returns:
        (2P, width) int64, rows of all ends' regions (2P * width), -1 for none, and (2P, width) bool.
    """
    index, moves = torch.cat(alignment[::2]), torch.cat(alignment[1::2])
    partner = torch.arange(len(index), device=index.device).roll(len(index) // 2)
    return counterpart_rows(index, partner), moves
