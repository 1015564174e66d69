"""What every source of evidence looks like: it says which regions matter to a question, for masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.part import Part, register
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry


class Evidence(NamedTuple):
    """What matters to one question.

    Attributes:
        row: the question, a row of the questions trained on.
        units: regions that go together, rising; one array for each instance of an object, or one for all that matters.
        name: the class the units are instances of, None where that is not known.
        complete: whether nothing of that class is left once all units are gone.
        instances: how many instances of the class the image holds, NaN where that is not known.
    """

    row: int
    units: list[NDArray[np.int64]]
    name: int | None = None
    complete: bool = False
    instances: float = float("nan")


Source = Callable[[PairSources, Any], tuple[Iterator[Evidence], dict[str, str]]]
"""Returns the evidence, one question after the other, and path -> SHA-256 of the files it is read from, given the
settings of the source."""

EVIDENCE: Registry[Part[Source]] = Registry("source of evidence", "vqa_gs.pair_builders.evidence")


def evidence(name: str, settings: type[Any]) -> Callable[[Source], Source]:
    """Returns a decorator that registers a source of evidence and leaves it as it is."""
    return register(EVIDENCE, name, settings)


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of sources that score regions.

    Args:
        least: the least score of a region that matters.
        most: the most regions that matter, the highest scores first; 0: all.
    """

    least: float = 0.6
    most: int = 0

    def __post_init__(self) -> None:
        if self.most < 0:
            raise UsageError(f"most is {self.most}", mend="give 1 or more, or 0 for all")

    def highest(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Returns the regions that matter, rising, by the scores (R,) of all."""
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.least]
        return np.sort(order[: self.most] if self.most else order)


def box_sums(values: NDArray[np.float64], corners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the sums of a map (height, width) within boxes (R, 4) x1, y1, x2, y2 in pixels inside it, (R,)."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    x1, y1, x2, y2 = corners.T
    sums: NDArray[np.float64] = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
    return sums
