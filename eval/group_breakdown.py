"""Metrics over groups of questions: how far other images would move them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import Breakdown, Measured
from vqa_gs.eval.evidence import Scored


class Sampling(NamedTuple):
    """What images add to the uncertainty of a percentage.

    Attributes:
        error: its standard error, in points.
        clusters: how many images the groups are about.
    """

    error: float
    clusters: int


Numbers = npt.ArrayLike


def ratio_error(part: Numbers, whole: Numbers, cluster: Numbers) -> Sampling | None:
    """Returns the standard error of ``100 sum(part) / sum(whole)``, groups about one image being drawn together.

    The linearised error of a ratio of cluster totals (Cochran, *Sampling Techniques*, 1977, section 6.3; clusters as
    with replacement): ``sqrt(C / (C - 1) sum_c (part_c - R whole_c)^2) / sum(whole)`` over C clusters, R the ratio.

    Args:
        part: (groups,) what counts of each group.
        whole: (groups,) out of how many.
        cluster: (groups,) int64, the image of each.

    Returns:
        The error; None where fewer than two clusters have anything that could count.
    """
    y, x = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    _, code = np.unique(np.asarray(cluster)[x > 0], return_inverse=True)
    clusters = int(code.max(initial=-1)) + 1
    if clusters < 2:
        return None
    ratio = y.sum() / x.sum()
    residual = np.bincount(code, (y - ratio * x)[x > 0], clusters)
    return Sampling(100 * math.sqrt(clusters / (clusters - 1) * float(residual @ residual)) / float(x.sum()), clusters)


class GroupBreakdown(Breakdown, frozen=True, kw_only=True):
    """A breakdown of which each measure is a ratio of sums over groups of questions.

    Attributes:
        spread: by measure, as `measured` names it, what images add to its uncertainty.
    """

    spread: dict[str, Sampling] = msgspec.field(default_factory=dict)

    def on_card(self) -> dict[str, Measured]:
        """Returns the measures with what images add to their uncertainty."""
        return {name: found._replace(sampling=self.spread.get(name)) for name, found in self.measured().items()}


def spread_of(
    scored: Scored, rows: npt.NDArray[np.int64], sums: Mapping[str, tuple[Numbers, Numbers]]
) -> dict[str, Sampling]:
    """Returns what images add to the uncertainty of some ratios.

    Args:
        scored: the answers.
        rows: (groups,) the first question of each group; its image stands for the group's.
        sums: by measure, what counts of each group, and out of how many, (groups,) each.
    """
    image = scored.image_codes[rows]
    found = {name: ratio_error(part, whole, image) for name, (part, whole) in sums.items()}
    return {name: sampling for name, sampling in found.items() if sampling is not None}
