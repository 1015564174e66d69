"""How the regions of two images are to be matched, as settings that builders' own derive from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.pair_builders.alignment.matching import BOX_WEIGHT

from vqa_gs.common.errors import UsageError


@dataclass(frozen=True)
class Alignment:
    """Settings of builders whose pairs are about two different images.

    Args:
        alignment: `matched`: every region of one image has its counterpart in the other; `sparse`: only the
            `sparse_regions` counterparts that differ most say in which direction the answer lies; `identity`: region k
            of one image is region k of the other, as it is when both were extracted with the same boxes. Pairs whose
            regions a selection named are matched among these only.
        sparse_regions: counterparts kept by the alignment `sparse`.
        box_weight: what the place of a region counts in matching, appearance counting 1.
        weight: the weight of every pair.
    """

    alignment: Literal["identity", "matched", "sparse"] = "matched"
    sparse_regions: int = 1
    box_weight: float = BOX_WEIGHT
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.sparse_regions < 1:
            raise UsageError(f"sparse_regions is {self.sparse_regions}", mend="keep 1 or more")
        if not 0 <= self.box_weight < float("inf"):
            raise UsageError(f"box_weight is {self.box_weight}", mend="give a number of 0 or more")
        if not 0 <= self.weight < float("inf"):
            raise UsageError(f"the weight of the pairs is {self.weight}", mend="give a number of 0 or more")


@dataclass(frozen=True)
class PhotographAlignment(Alignment):
    """Settings of builders whose pairs are about two photographs, which no edit relates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alignment == "identity":
            raise UsageError("two photographs have no common order of regions", mend="choose matched or sparse")
