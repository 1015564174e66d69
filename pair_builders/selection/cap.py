"""A cap per question and per answer pair, so that frequent questions do not drown the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vqa_gs.pair_builders.nearest.partners import Edges, at_most
from vqa_gs.pair_builders.selection_rule import Candidates, Chosen, selection

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """How often one thing may be said; 0 sets no cap.

    Args:
        question: the most pairs one question is in.
        answers: the most pairs with the same two answers.
    """

    question: int = 8
    answers: int = 200

    def __post_init__(self) -> None:
        if self.question < 0 or self.answers < 0:
            raise UsageError("a cap is negative", mend="give 1 or more, or 0 for none")


@selection("cap", Settings)
def cap(candidates: Candidates, settings: Settings) -> Chosen:
    """Takes the nearest pairs first, as long as neither question nor the two answers have their number yet."""
    table = candidates.table
    order = np.lexsort((np.arange(len(table)), np.where(np.isnan(table.distance), np.inf, table.distance)))
    known, at_a, at_b = candidates.answers()
    if settings.question:
        edges = Edges(candidates.a[order], candidates.b[order], table.distance[order])
        order = order[at_most(edges, len(candidates.sources.ends), settings.question)]
    if settings.answers:
        low, high = np.minimum(at_a, at_b)[order], np.maximum(at_a, at_b)[order]
        _, pair = np.unique(low * len(known) + high, return_inverse=True)
        by_pair = np.argsort(pair, kind="stable")
        starts = np.flatnonzero(np.diff(pair[by_pair], prepend=-1))
        rank = np.empty(len(pair), np.int64)
        rank[by_pair] = np.arange(len(pair)) - np.repeat(starts, np.diff(np.append(starts, len(pair))))
        order = order[rank < settings.answers]
    keep = np.zeros(len(table), bool)
    keep[order] = True
    return Chosen(keep)
