"""Answers that annotators agreed on: a pair is no clearer than the less clear of its two answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vqa_gs.pair_builders.ends import agreement
from vqa_gs.pair_builders.selection_rule import Candidates, Chosen, selection
from vqa_gs.pair_builders.table.columns import is_given

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """How clear both answers have to be.

    Args:
        least: the least share of annotators behind the answer at either end, 0 to 1.
        weigh: multiply a pair's weight by that share.
    """

    least: float = 0.5
    weigh: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise UsageError(f"least is {self.least}", mend="give a share between 0 and 1")


@selection("agreed", Settings)
def agreed(candidates: Candidates, settings: Settings) -> Chosen:
    """Keeps pairs whose answers enough annotators gave; an answer the pair itself gives is certain."""
    annotations = candidates.sources.ends.annotations
    asked = np.unique(np.concatenate([candidates.a, candidates.b]))
    share = np.ones(len(annotations), np.float32)
    for row in asked.tolist():
        annotation = annotations[row]
        share[row] = 1.0 if annotation is None else agreement(annotation)
    at_b = share[candidates.b]
    if candidates.table.answer_b is not None:
        at_b = np.where(is_given(candidates.table.answer_b), np.float32(1), at_b)
    both = np.minimum(share[candidates.a], at_b)
    return Chosen(both >= settings.least - 1e-6, both if settings.weigh else None)
