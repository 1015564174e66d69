"""Intervals of all arms at once: what a mean, and a difference of means, might be on other images.

`eval/statistics.py` resamples one set of scores, or the difference of two. A report needs every run and every
difference of two arms, so the draws are made once and every run is averaged over them; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report_content.records import SplitRecords
from vqa_gs.eval.statistics import CHUNK, REPLICATES, Groups, Interval, image_draws, percentile_interval

SEED = 0
_CHUNKS_AT_ONCE = 4

Group = tuple[str, str]
OVERALL: Group = ("overall", "")
Floats = npt.NDArray[np.float32]
Parts = npt.NDArray[np.float64]


def answer_type(name: str) -> Group:
    """Returns the group of the questions of one answer type."""
    return ("answer_type", name)


def question_type(name: str) -> Group:
    """Returns the group of the questions of one question type."""
    return ("question_type", name)


def subset(name: str) -> Group:
    """Returns the group of the questions of one subset."""
    return ("subset", name)


def _draws(images: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yields how often each image is drawn, (some replicates, images)."""
    block: list[Floats] = []
    for weights in image_draws(images, replicates, seed):
        block.append(weights.T.astype(np.float32, order="C"))
        # A product with few rows waits for memory: four chunks at once halve its time.
        if len(block) == _CHUNKS_AT_ONCE:
            yield np.concatenate(block)
            block.clear()
    if block:
        yield np.concatenate(block)


def resampled_means(groups: Groups, values: Floats, replicates: int = REPLICATES, seed: int = SEED) -> Floats:
    """Draws images with replacement, all questions of each along, and averages each group over what was drawn.

    Args:
        groups: the n questions.
        values: (k, n) accuracies of k runs.
        replicates: how often to draw.
        seed: of the draws.

    Returns:
        float32 (replicates, k, groups); NaN where nothing of a group was drawn.
    """
    rows = len(values)
    # Sums and counts of each image and group, side by side: one product with the draws gives all means.
    totals = np.empty((groups.images, len(groups.names), rows + 1), np.float32)
    for row in range(rows):
        totals[:, :, row] = groups.sums(values[row].astype(np.float64)).toarray().T
    totals[:, :, rows] = groups.sums(np.ones(values.shape[1])).toarray().T
    table = totals.reshape(groups.images, -1)
    means = np.empty((replicates, rows, len(groups.names)), np.float32)
    start = 0
    for drawn in _draws(groups.images, replicates, seed):
        sums = (drawn @ table).reshape(len(drawn), len(groups.names), rows + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + len(drawn)] = (sums[:, :, :rows] / sums[:, :, rows:]).transpose(0, 2, 1)
        start += len(drawn)
    return means


def _drawn_seeds(runs: int, others: int, replicates: int, seed: int) -> tuple[Parts, Parts]:
    """Returns the part of each seed of two arms in each resampling; the draws of `bootstrap_difference`."""
    generator = np.random.default_rng([seed, 1])
    parts: tuple[list[Parts], list[Parts]] = ([], [])
    for start in range(0, replicates, CHUNK):
        width = min(CHUNK, replicates - start)
        for count, drawn in zip((runs, others), parts, strict=True):
            drawn.append(generator.multinomial(count, [1 / count] * count, size=width) / count)
    return np.concatenate(parts[0]), np.concatenate(parts[1])


class ArmIntervals:
    """Intervals of the arms' accuracies on one split, and of their differences.

    The interval of an arm says what other questions would change; the deviation over seeds, which stands beside
    it, what other seeds would. The interval of a difference has both, as that of `vqa_gs.eval.statistics`.

    Args:
        records: the split's.
        arms: the arms; one with a run that has no records gets no interval.
    """

    def __init__(self, records: SplitRecords, arms: Sequence[Arm]) -> None:
        self._rows: dict[str, list[int]] = {}
        for arm in arms:
            rows = [records.row(run) for run in arm.runs if records.split in run.metrics]
            known = [row for row in rows if row is not None]
            if known and len(known) == len(rows):
                self._rows[arm.name] = known
        labels = {
            "overall": [""] * len(records.truth),
            "answer_type": [records.answer_types[code] for code in records.answer_type],
            "question_type": [records.question_types[code] for code in records.question_type],
        }
        groups = Groups(records.image.tolist(), labels)
        images = np.diff(groups.sums(np.ones(len(records.truth))).indptr)
        # A group that lies in one image has no spread to learn of.
        self._column = {name: at for at, name in enumerate(groups.names) if images[at] > 1}
        self._means = resampled_means(groups, records.scores)

    def of(self, arm: Arm, group: Group) -> Interval | None:
        """Returns the interval of an arm's accuracy in percent, None if it is not known."""
        rows, column = self._rows.get(arm.name), self._column.get(group)
        if rows is None or column is None:
            return None
        return percentile_interval(100 * self._means[:, rows, column].mean(axis=1).astype(np.float64))

    def of_difference(self, one: Arm, other: Arm, group: Group) -> Interval | None:
        """Returns the interval of a difference in percentage points, on the same questions and draws."""
        first, second, column = self._rows.get(one.name), self._rows.get(other.name), self._column.get(group)
        if first is None or second is None or column is None:
            return None
        parts, others = _drawn_seeds(len(first), len(second), len(self._means), SEED)
        ahead = (parts * self._means[:, first, column]).sum(axis=1)
        return percentile_interval(100 * (ahead - (others * self._means[:, second, column]).sum(axis=1)))
