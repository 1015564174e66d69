"""Intervals over questions: what a mean, and a difference of means, might be on other images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from eval.arms import Arm
from eval.report.blocks import Interval
from eval.report.evidence import SplitEvidence

RESAMPLES = 1000
SEED = 0
LEVEL = 95
_CHUNK = 32

Group = tuple[str, str]
OVERALL: Group = ("overall", "")


def answer_type(name: str) -> Group:
    """Returns the group of the questions of one answer type."""
    return ("answer_type", name)


def question_type(name: str) -> Group:
    """Returns the group of the questions of one question type."""
    return ("question_type", name)


def _draws(clusters: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yields how often each cluster is drawn: float32 (some resamples, clusters), each row summing to clusters."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        width = min(_CHUNK, resamples - start)
        drawn = generator.integers(clusters, size=(clusters, width), dtype=np.int32).astype(np.int64)
        drawn += np.arange(width) * clusters
        yield np.bincount(drawn.reshape(-1), minlength=clusters * width).reshape(width, clusters).astype(np.float32)


def resampled_means(
    values: npt.NDArray[np.float32],
    members: Sequence[npt.NDArray[np.int32]],
    sizes: Sequence[int],
    clusters: npt.NDArray[np.int32],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> npt.NDArray[np.float32]:
    """Draws clusters with replacement, whole ones, and averages each group of questions over what was drawn.

    The bootstrap of Efron and Tibshirani (1993, chapter 8) for clustered data: questions about one image
    share what makes the image hard, so images are drawn, not questions. Every row sees the same draws, which
    makes differences of rows paired.

    Args:
        values: float32 (k, n), k rows of n questions.
        members: partitions of the questions, each int32 (n,).
        sizes: the number of groups of each partition.
        clusters: int32 (n,), 0..C-1.
        resamples: how often to draw.
        seed: of the draws.

    Returns:
        float32 (resamples, k, sum(sizes)); NaN where nothing of a group was drawn.
    """
    count, rows = int(clusters.max()) + 1, len(values)
    groups = sum(sizes)
    # Sums and counts of each cluster and group, side by side: one product with the draws gives all means.
    totals = np.zeros((count, groups, rows + 1), np.float32)
    first = 0
    for partition, size in zip(members, sizes, strict=True):
        flat = clusters.astype(np.int64) * size + partition
        for row in range(rows + 1):
            weights = None if row == rows else values[row]
            sums = np.bincount(flat, weights, minlength=count * size)
            totals[:, first : first + size, row] = sums.reshape(count, size)
        first += size
    table = totals.reshape(count, groups * (rows + 1))
    means = np.empty((resamples, rows, groups), np.float32)
    start = 0
    for drawn in _draws(count, resamples, seed):
        drawn_sums = (drawn @ table).reshape(len(drawn), groups, rows + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + len(drawn)] = (drawn_sums[:, :, :rows] / drawn_sums[:, :, rows:]).transpose(0, 2, 1)
        start += len(drawn)
    return means


def percentile_interval(draws: npt.NDArray[np.float32]) -> Interval | None:
    """Returns the middle 95 % of some draws in percent, None where a draw has no value or all are one."""
    if not len(draws) or np.isnan(draws).any():
        return None
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(draws.astype(np.float64), [tail, 100 - tail])
    return 100 * float(low), 100 * float(high)


class Intervals:
    """Intervals of the arms' accuracies on one split, and of their differences.

    An arm's accuracy on a question is the mean over its seeds: the interval says what other questions would
    change, the deviation over seeds what other seeds would.

    Args:
        evidence: the split's.
        arms: the arms; one with a run that has no evidence gets no interval.
    """

    def __init__(self, evidence: SplitEvidence, arms: Sequence[Arm]) -> None:
        self._row: dict[str, int] = {}
        means: list[npt.NDArray[np.float32]] = []
        for arm in arms:
            rows = [evidence.row(run) for run in arm.runs if evidence.split in run.metrics]
            known = [row for row in rows if row is not None]
            if known and len(known) == len(rows):
                self._row[arm.name] = len(means)
                means.append(evidence.scores[known].mean(axis=0))
        self._group: dict[Group, int] = {}
        for group in (
            OVERALL,
            *map(answer_type, evidence.answer_types),
            *map(question_type, evidence.question_types),
        ):
            self._group[group] = len(self._group)
        if not means:
            return
        self._draws = resampled_means(
            np.stack(means),
            [np.zeros_like(evidence.truth), evidence.answer_type, evidence.question_type],
            [1, len(evidence.answer_types), len(evidence.question_types)],
            evidence.image,
        )

    def of(self, arm: Arm, group: Group) -> Interval | None:
        """Returns the interval of an arm's accuracy in percent, None if it is not known."""
        row, column = self._row.get(arm.name), self._group.get(group)
        return None if row is None or column is None else percentile_interval(self._draws[:, row, column])

    def of_difference(self, one: Arm, other: Arm, group: Group) -> Interval | None:
        """Returns the interval of a difference in percentage points, on the same questions and draws."""
        first, second, column = self._row.get(one.name), self._row.get(other.name), self._group.get(group)
        if first is None or second is None or column is None:
            return None
        return percentile_interval(self._draws[:, first, column] - self._draws[:, second, column])
