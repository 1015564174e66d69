"""Which regions of a pair's ends differ."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def differing(direction: Tensor, most: int = 0) -> Tensor:
    """Says on which regions (or words) two ends differ.

    Args:
        direction: (n, regions, dim), an example minus its partner.
        most: keep only so many regions, those that differ most; 0 keeps all that differ.

    Returns:
        (n, regions) bool.
    """
    precise = torch.promote_types(direction.dtype, torch.float32)
    return longest(torch.linalg.vector_norm(direction, dim=2, dtype=precise), most)


@torch.no_grad()
def longest(length: Tensor, most: int = 0) -> Tensor:
    """Says which regions' directions are not zero and among the ``most`` longest: (n, regions) -> (n, regions) bool."""
    there = length > 0
    if most and most < length.shape[1]:
        chosen = torch.zeros_like(there).scatter_(1, length.topk(most, dim=1).indices, True)
        there &= chosen
    return there
