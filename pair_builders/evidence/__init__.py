"""Which regions matter to a question: one source of evidence a file, behind one signature.

A source is a function ``(sources, settings) -> iterator of Evidence`` under :func:`evidence`; the settings are those of
the `masked` builder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.registry import Registry

if TYPE_CHECKING:
    from vqa_gs.pair_builders.base import PairSources
    from vqa_gs.pair_builders.masked import Settings


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


Source = Callable[["PairSources", "Settings"], tuple[Iterator[Evidence], dict[str, str]]]
"""Returns the evidence, one question after the other, and path -> SHA-256 of the files it is read from."""

EVIDENCE: Registry[Source] = Registry("source of evidence", "vqa_gs.pair_builders.evidence")


def evidence(name: str) -> Callable[[Source], Source]:
    """Returns a decorator that registers a source of evidence and leaves it as it is."""
    return EVIDENCE.register(name)
