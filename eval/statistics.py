"""How certain a number is: intervals over questions clustered by image, paired tests, correction for many types.

Questions about one image share its difficulty, so resampling and swapping act on whole images. Everything is
seeded; the same call gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.metrics import codes

from vqa_gs.common.errors import UsageError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Scores = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

LEVEL = 0.95
# What accuracies can be, and what differences can.
PERCENT, ANY_NUMBER = (0.0, 100.0), (-math.inf, math.inf)
REPLICATES = 1000
PERMUTATIONS = 10_000

# The column of a question that is in no group of a kind.
NOWHERE = -1

# Replicates in memory at a time; with VQA v2's 40,000 validation images, 10 MB of weights.
CHUNK = 32


class Interval(NamedTuple):
    """A two-sided percentile interval, in percent or in points."""

    low: float
    high: float


def percentile_interval(draws: npt.NDArray[np.floating], level: float = LEVEL) -> Interval | None:
    """Returns the middle of some draws, None if none has a value.

    Args:
        draws: (r,) in percent or points; NaN where a draw says nothing, as it holds no question of a rare group.
        level: the probability inside.
    """
    known = draws[~np.isnan(draws)].astype(np.float64)
    tail = 50 * (1 - level)
    return Interval(*np.percentile(known, [tail, 100 - tail]).tolist()) if len(known) else None


class Groups:
    """Questions by image and by any number of groups, as sparse sums that are resampled together.

    Args:
        images: the image of each of n questions.
        labels: for each question the name of its group, n of them; several sets of groups by name, of which
            "" is the whole.
        masks: further groups by kind, as bool (n,): which questions are in; such a group is called "in".
    """

    def __init__(
        self,
        images: Sequence[Hashable],
        labels: Mapping[str, Sequence[str]],
        masks: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        self.image = codes(images)
        self.images = int(self.image.max(initial=-1)) + 1
        self.names: list[tuple[str, str]] = []
        columns = []
        for kind, values in labels.items():
            if len(values) != len(self.image):
                raise UsageError(f"{len(self.image)} questions, but {len(values)} entries of {kind or 'the whole'!r}")
            distinct = sorted(set(values))
            place = {value: len(self.names) + at for at, value in enumerate(distinct)}
            columns.append(np.fromiter(map(place.__getitem__, values), np.int64, len(values)))
            self.names += [(kind, value) for value in distinct]
        for kind, inside in (masks or {}).items():
            columns.append(np.where(inside, len(self.names), NOWHERE))
            self.names.append((kind, "in"))
        self.column = np.stack(columns) if columns else np.zeros((0, len(self.image)), np.int64)
        kinds, self._question = np.nonzero(self.column != NOWHERE)
        self._group = self.column[kinds, self._question]

    def sums(self, values: Floats) -> csr_array:
        """Returns the sums of (n,) values by group and image: sparse (groups, images)."""
        from scipy.sparse import csr_array  # here: most commands have no use for it, and it takes its time

        data = values[self._question]
        there = data != 0
        entries = (data[there], (self._group[there], self.image[self._question[there]]))
        return csr_array(entries, shape=(len(self.names), self.images))


def image_draws(images: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yields how often each image is drawn, (images, some replicates) float64, images times with replacement."""
    generator = np.random.default_rng(seed)
    for start in range(0, replicates, CHUNK):
        width = min(CHUNK, replicates - start)
        drawn = generator.integers(images, size=(images, width), dtype=np.int32).astype(np.int64)
        drawn *= width
        drawn += np.arange(width)
        yield np.bincount(drawn.reshape(-1), minlength=images * width).reshape(images, width).astype(np.float64)


def bootstrap(
    groups: Groups, values: Floats, replicates: int = REPLICATES, seed: int = 0, level: float = LEVEL
) -> dict[tuple[str, str], Interval | None]:
    """Returns the interval of 100 times the mean of each group, by resampling images.

    The percentile interval of the ratio of sums: each replicate draws as many images as there are, with
    replacement, and takes all questions of each along.

    Args:
        groups: the n questions.
        values: (n,) accuracies, or differences of accuracies.
        replicates: how many resamplings; 1,000 leave an error of about a twentieth of the interval's width.
        seed: of the drawing.
        level: the probability inside.

    Returns:
        By (kind, name); None for a group that lies in a single image, whose spread cannot be known.

    Raises:
        UsageError: there are no questions, or fewer than 100 replicates.
    """
    means, spread = resampled(groups, values, replicates, seed)
    named = zip(groups.names, means, spread.tolist(), strict=True)
    return {name: percentile_interval(row, level) if images > 1 else None for name, row, images in named}


def resampled(
    groups: Groups, values: Floats, replicates: int = REPLICATES, seed: int = 0
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Draws images with replacement, all questions of each along, and averages each group over what was drawn.

    Args:
        groups: the n questions.
        values: (n,) accuracies, or differences of accuracies.
        replicates: how often to draw.
        seed: of the drawing.

    Returns:
        (groups, replicates) 100 times the means, NaN where nothing of a group was drawn; (groups,) in how many images
        each group lies.

    Raises:
        UsageError: there are no questions, or fewer than 100 replicates.
    """
    if replicates < 100:
        raise UsageError(f"an interval from {replicates} resamplings", mend="take 1000, at least 100")
    if not groups.images:
        raise UsageError("no questions to resample", mend="give at least one question")
    sums, counts = groups.sums(values), groups.sums(np.ones(len(groups.image)))
    shares = []
    for weights in image_draws(groups.images, replicates, seed):
        with np.errstate(invalid="ignore", divide="ignore"):
            shares.append(100 * (sums @ weights) / (counts @ weights))
    return np.concatenate(shares, axis=1), np.diff(counts.indptr).astype(np.int64)


def permutation_test(
    groups: Groups, differences: Floats, permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[tuple[str, str], float]:
    """Tests, for each group, whether two systems are equally accurate: p, two-sided.

    If they are, it does not matter which of the two gave which answers about an image: the systems are swapped
    for whole images at random, and p is the share of swaps with a sum of differences at least as large.

    Args:
        groups: the n questions.
        differences: (n,) accuracy of the one minus that of the other.
        permutations: how many swaps; the lowest possible p is 1 / (permutations + 1).
        seed: of the swaps.
    """
    sums = groups.sums(differences)
    kept = np.unique(sums.indices)
    sums = sums[:, kept] if len(kept) else sums[:, :0]
    observed = np.abs(np.asarray(sums.sum(axis=1)).reshape(-1))
    generator = np.random.default_rng(seed)
    exceeding = np.zeros(len(groups.names), np.int64)
    # The same sums in another order differ in their last bits; that must not make an equal one smaller.
    slack = 1e-9 * np.maximum(1.0, observed)
    for start in range(0, permutations, CHUNK):
        width = min(CHUNK, permutations - start)
        signs = generator.integers(0, 2, size=(len(kept), width), dtype=np.int8).astype(np.float64) * 2 - 1
        exceeding += (np.abs(sums @ signs) >= (observed - slack)[:, None]).sum(axis=1)
    return {name: (1 + int(exceeding[row])) / (permutations + 1) for row, name in enumerate(groups.names)}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Returns p-values corrected for their number by Holm's step-down rule (1979)."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


class McNemar(NamedTuple):
    """McNemar's exact test on questions that just one of two systems gets fully right.

    Attributes:
        only_a: questions that only a gets right.
        only_b: questions that only b gets right.
        p: two-sided; 1 where there are none.
    """

    only_a: int
    only_b: int
    p: float


def mcnemar(right_a: npt.NDArray[np.bool_], right_b: npt.NDArray[np.bool_]) -> McNemar:
    """Tests (n,) against (n,) right answers to the same questions, taken as independent."""
    from scipy.stats import binomtest  # here, since importing it takes as long as scoring a quarter million questions

    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def wilcoxon_over_seeds(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Wilcoxon's signed-rank p over seeds, two-sided; None with fewer than two seeds or without any difference.

    Args:
        a: a quantity of one arm, a value a seed.
        b: the same of the other, its seeds in the same order. With n seeds p is 2 / 2^n at the least: five
            cannot reach 0.05.

    Raises:
        UsageError: the numbers of seeds differ.
    """
    from scipy.stats import wilcoxon

    if len(a) != len(b):
        raise UsageError(f"{len(a)} seeds against {len(b)}", mend="compare the same seeds of both")
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if len(a) < 2 or not differences.any():
        return None
    return float(wilcoxon(differences).pvalue)
