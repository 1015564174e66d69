"""Settings of the answer loss."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.objectives import OBJECTIVES


@OBJECTIVES.settings("answer", "vqa_gs.objectives.terms.answer")
@dataclass(frozen=True)
class AnswerSettings:
    """Settings of the answer loss.

    Attributes:
        weight: the term's weight in the loss; 0 switches it off.
        pair_rows: weight of a pair's end as an ordinary training example. 1 trains on the pairs as data beside
            gradient supervision, as every "+ GS" row of the paper does; 0 uses pairs for their gradient only.
    """

    weight: float = 1.0
    pair_rows: float = 1.0
