"""The metrics file of multi-label classification: mAP, average precision by class, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from vqa_gs.eval.average_precision import intervals, mean_average_precision
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION, Counts, Intervals, Source, SplitMetrics
from vqa_gs.eval.statistics import REPLICATES

from vqa_gs.common.errors import UsageError


def label_metrics(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    classes: Sequence[str],
    split: str,
    sources: Mapping[str, Mapping[str, str]],
) -> SplitMetrics:
    """Returns the metrics of a split; classes stand where answer types do.

    Args:
        scores: (n, classes) float.
        labels: (n, classes) bool.
        classes: their names.
        split: the split's name.
        sources: name -> path and SHA-256 of the files.

    Raises:
        UsageError: no image shows any class.
    """
    found = mean_average_precision(scores, labels)
    if found.mean is None:
        raise UsageError(f"no image of {split} shows any class, so there is no mAP")
    whole, each = intervals(scores, labels)
    named = dict(zip(classes, found.by_class, strict=True))
    empty = [name for name, value in named.items() if value is None]
    notes = [f"left out of the mean, as no image shows them: {', '.join(empty)}"] if empty else []
    shown: dict[str, float | None] = {name: value for name, value in named.items() if value is not None}
    counts = {name: int(count) for name, count in zip(classes, labels.sum(axis=0), strict=True) if name in shown}
    return SplitMetrics(
        scoring=MEAN_AVERAGE_PRECISION,
        split=split,
        overall=found.mean,
        questions=len(labels),
        per_answer_type=shown,
        counts=Counts(counts),
        sources={name: Source(**source) for name, source in sources.items()},
        missing=0,
        intervals=Intervals(
            replicates=REPLICATES,
            overall=whole,
            per_answer_type={name: interval for name, interval in zip(classes, each, strict=True) if name in shown},
        ),
        notes=notes,
    )
