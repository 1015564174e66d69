"""Intervals of all arms at once: what a mean, and a difference of means, might be on other images.

`eval/statistics.py` resamples one set of scores, `eval/crossed.py` the difference of two. A report needs every run and
every difference of two arms, so the draws are made once and every run is averaged over them; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.arms import Arm
from vqa_gs.eval.crossed import Images, carrying, crossed, differences_of
from vqa_gs.eval.report_content.records import SplitRecords
from vqa_gs.eval.runs import RunSummary
from vqa_gs.eval.statistics import REPLICATES, Groups, Interval, image_draws, percentile_interval

SEED = 0
_CHUNKS_AT_ONCE = 4
_SUBSET, _TYPES = "in subset ", "types in subset "

Group = tuple[str, str]
OVERALL: Group = ("overall", "")
Floats = npt.NDArray[np.float32]


def answer_type(name: str) -> Group:
    """Returns the group of the questions of one answer type."""
    return ("answer_type", name)


def question_type(name: str) -> Group:
    """Returns the group of the questions of one question type."""
    return ("question_type", name)


def subset(name: str, answer_type: str = "") -> Group:
    """Returns the group of the questions of one subset, or of those of one answer type in it."""
    return ("subset", f"{name}: {answer_type}" if answer_type else name)


def _group(kind: str, value: str) -> Group:
    """Returns the group of a kind of labels and a label."""
    if kind.startswith(_SUBSET) and value:
        return subset(kind.removeprefix(_SUBSET))
    if kind.startswith(_TYPES) and value:
        return subset(kind.removeprefix(_TYPES), value)
    return kind, value


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


class ArmIntervals:
    """Intervals of the arms' accuracies on one split, and of their differences.

    The interval of an arm says what other questions would change; the deviation over seeds, which stands beside
    it, what other seeds would. The interval of a difference has both, see `vqa_gs.eval.crossed`.

    Args:
        records: the split's.
        arms: the arms; one with a run that has no records gets no interval.
    """

    def __init__(self, records: SplitRecords, arms: Sequence[Arm]) -> None:
        self._records = records
        self._arms = {
            arm.name
            for arm in arms
            if (scored := [run for run in arm.runs if records.split in run.metrics])
            and all(records.row(run) is not None for run in scored)
        }
        labels = {
            "overall": [""] * len(records.truth),
            "answer_type": [records.answer_types[code] for code in records.answer_type],
            "question_type": [records.question_types[code] for code in records.question_type],
        }
        for name, inside in records.subsets.items():
            types = labels["answer_type"]
            labels[_SUBSET + name] = ["in" if one else "" for one in inside]
            labels[_TYPES + name] = [kind if one else "" for kind, one in zip(types, inside, strict=True)]
        groups = Groups(records.image.tolist(), labels)
        counts = groups.sums(np.ones(len(records.truth)))
        self._images = np.diff(counts.indptr).tolist()
        # A group that lies in one image has no spread to learn of.
        self._column = {_group(*name): at for at, name in enumerate(groups.names) if self._images[at] > 1}
        self._means = resampled_means(groups, records.scores)
        totals = [groups.sums(scores.astype(np.float64)).sum(axis=1) for scores in records.scores]
        self._measured = 100 * np.stack(totals) / counts.sum(axis=1)

    def images(self, runs: Sequence[RunSummary], group: Group) -> Images | None:
        """Returns the mean of some runs over resampled images in percent, None if it is not known of all of them."""
        rows, column = self._rows(runs), self._column.get(group)
        if rows is None or column is None:
            return None
        draws = 100 * self._means[:, rows, column].mean(axis=1, dtype=np.float64)
        return Images(draws, self._images[column])

    def of(self, arm: Arm, group: Group) -> Interval | None:
        """Returns the interval of an arm's accuracy over questions in percent, None if it is not known."""
        found = self.images(self._scored(arm), group) if arm.name in self._arms else None
        return None if found is None else percentile_interval(found.draws)

    def of_difference(self, one: Arm, other: Arm, group: Group) -> Interval | None:
        """Returns the interval of a difference in points over questions and seeds, on the same questions and draws.

        Seeds are paired where both arms have the same ones. Of fewer than three it is over questions alone.
        """
        if one.name not in self._arms or other.name not in self._arms:
            return None
        runs, others = self._scored(one), self._scored(other)
        ahead, behind = self.images(runs, group), self.images(others, group)
        if ahead is None or behind is None:
            return None
        paired = _same_seeds(runs, others)
        if paired:
            order = [run.seed for run in runs]
            others.sort(key=lambda run: order.index(run.seed))
        a, b = (self._measured[self._rows(some), self._column[group]].tolist() for some in (runs, others))
        images = Images(ahead.draws - behind.draws, ahead.size)
        return crossed(float(np.mean(a) - np.mean(b)), carrying(differences_of(a, b, paired)), images).interval

    def _scored(self, arm: Arm) -> list[RunSummary]:
        return [run for run in arm.runs if self._records.split in run.metrics]

    def _rows(self, runs: Sequence[RunSummary]) -> list[int] | None:
        rows = [row for run in runs if (row := self._records.row(run)) is not None]
        return rows if rows and len(rows) == len(runs) else None


def _same_seeds(runs: Sequence[RunSummary], others: Sequence[RunSummary]) -> bool:
    """Says whether runs have the same seeds as others, each once."""
    seeds, theirs = [run.seed for run in runs], [run.seed for run in others]
    return None not in seeds and len(set(seeds)) == len(seeds) == len(theirs) and set(seeds) == set(theirs)
