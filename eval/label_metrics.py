"""The metrics file of multi-label classification: mAP, average precision by class, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.eval.average_precision import intervals, mean_average_precision
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION, METRICS_FORMAT
from vqa_gs.eval.statistics import LEVEL, REPLICATES

from vqa_gs.common.errors import UsageError


def label_metrics(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    classes: Sequence[str],
    split: str,
    sources: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Returns the content of a metrics file; classes stand where answer types do.

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
    shown = {name: value for name, value in named.items() if value is not None}
    return {
        "format": METRICS_FORMAT,
        "scoring": MEAN_AVERAGE_PRECISION,
        "split": split,
        "overall": found.mean,
        "questions": len(labels),
        "per_answer_type": shown,
        "per_question_type": {},
        "counts": {
            "per_answer_type": {
                name: int(count) for name, count in zip(classes, labels.sum(axis=0), strict=True) if name in shown
            }
        },
        "missing": 0,
        "intervals": {
            "level": LEVEL,
            "replicates": REPLICATES,
            "seed": 0,
            "resampled": "image",
            "overall": whole,
            "per_answer_type": {name: interval for name, interval in zip(classes, each, strict=True) if name in shown},
        },
        "sources": {name: dict(source) for name, source in sources.items()},
        "notes": notes,
    }
