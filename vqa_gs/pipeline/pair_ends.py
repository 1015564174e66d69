"""The pair ends of a batch as objectives see them, with the directions between partners."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from vqa_gs.contracts import Batch, PairEnds, direction_of
from vqa_gs.pair_builders.alignment.directions import counterpart_rows, differences


def counterparts(alignment: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Returns where the regions (or words) of each end have their counterparts, and which move.

    Args:
        alignment: the four parts of `vqa_gs.pair_builders.alignment.directions.AlignmentIndex`, each (P, width).

    Returns:
        (2P, width) int64, rows of all ends' regions (2P * width), -1 for none, and (2P, width) bool.
    """
    index, moves = torch.cat(alignment[::2]), torch.cat(alignment[1::2])
    partner = torch.arange(len(index), device=index.device).roll(len(index) // 2)
    return counterpart_rows(index, partner), moves


def pair_ends(
    batch: Batch,
    logits: Tensor,
    targets: Tensor,
    inputs: dict[str, Tensor],
    requirements: frozenset[str],
    matched: Collection[str],
) -> PairEnds:
    """Returns both ends of a batch's pairs, with the directions that objectives ask for.

    Args:
        batch: labels, weights and alignment of the ends.
        logits: (2P, answers).
        targets: (2P, answers), soft targets.
        inputs: by name, what the logits were computed from.
        requirements: what the terms of the loss need.
        matched: the inputs whose rows (regions, words) are compared as ``batch.alignment`` says; other inputs are
            compared as they are.
    """
    counterpart, moves = counterparts(batch.alignment) if batch.alignment else (None, None)
    directions = {}
    for name, vectors in inputs.items():
        if direction_of(name) not in requirements:
            continue
        there = vectors.detach()
        if name in matched:
            assert counterpart is not None and moves is not None  # noqa: PT018
            directions[name] = differences(there, there, counterpart, moves)
        else:
            directions[name] = there - there.roll(len(there) // 2, 0)
    partner_labels = batch.labels.roll(len(batch.labels) // 2)
    return PairEnds(logits, inputs, directions, targets, batch.labels, partner_labels, batch.weight, counterpart, moves)
