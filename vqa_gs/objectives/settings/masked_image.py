"""Settings of masked images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.common.checks import at_least
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled


@OBJECTIVES.settings("masked_image", "vqa_gs.objectives.terms.masked_image")
@dataclass(frozen=True)
class MaskedImageSettings(Scheduled):
    """Settings of masked images.

    Attributes:
        mask: which regions are masked: the ``key`` ones, as many at ``random``, or the ``complement``.
        most: at most so many regions are key, those that differ most; 0: all that differ.
        ignored: only those key regions that are not among so many that the model attends to most, 7 in AttReg; 0: all.
        empty: weight of the answer loss of the masked image against no answers.
        cosine: weight of the gradient's cosine with what was masked; 0 leaves it out.
    """

    mask: Literal["key", "random", "complement"] = "key"
    most: int = 0
    ignored: int = 0
    empty: float = 1.0
    cosine: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, "objectives.masked_image", 0, "most", "ignored", "empty", "cosine")
