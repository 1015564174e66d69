"""Whether a model knows when it is right: calibration of the answers' probabilities, and their entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored

BINS = 15


def reliability(
    confidence: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64], bins: int = BINS
) -> list[dict[str, Any]]:
    """Returns mean confidence and accuracy in bins of equal width, the empty ones left out.

    Args:
        confidence: (n,) in 0..1; bin i holds what is above i / bins and at most (i + 1) / bins, the first also 0.
        accuracy: (n,) in 0..1.
        bins: how many.
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for at in range(bins):
        inside = place == at
        if inside.any():
            rows.append(
                {
                    "low": at / bins,
                    "high": (at + 1) / bins,
                    "questions": int(inside.sum()),
                    "confidence": 100 * float(confidence[inside].mean()),
                    "accuracy": 100 * float(accuracy[inside].mean()),
                }
            )
    return rows


def expected_error(rows: list[dict[str, Any]]) -> float:
    """Returns the expected calibration error of `reliability`'s bins in points (Guo et al., ICML 2017)."""
    total = sum(row["questions"] for row in rows)
    return float(sum(row["questions"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / total)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


@BREAKDOWNS.register("calibration")
def calibration(scored: Scored) -> dict[str, Any] | None:
    """Expected calibration error, the reliability diagram's bins, and the entropy of right and wrong answers.

    The accuracy is that of the scoring rule, so an answer that a third of the annotators give counts as partly
    right. Entropies are in nats.
    """
    known = scored.evidence.confidence
    if known is None:
        return None
    ids = scored.questions.question_ids
    rows = np.array([row for row, question_id in enumerate(ids) if question_id in known], np.int64)
    if not len(rows):
        return None
    sure = np.array([known[ids[row]].score for row in rows], np.float64)
    accuracy = scored.scores[rows]
    bins = reliability(sure, accuracy)
    per_type = {}
    types = np.array([scored.annotations[row].answer_type for row in rows], dtype=object)
    for kind in sorted(set(types)):
        per_type[kind] = expected_error(reliability(sure[types == kind], accuracy[types == kind]))
    section = {
        "questions": len(rows),
        "ece": expected_error(bins),
        "confidence": 100 * float(sure.mean()),
        "accuracy": 100 * float(accuracy.mean()),
        "bins": bins,
        "per_answer_type": per_type,
    }
    entropies = [known[ids[row]].entropy for row in rows]
    if all(entropy is not None for entropy in entropies):
        entropy, right = np.array(entropies, np.float64), accuracy >= 0.5
        section["entropy"] = {
            "mean": _mean(entropy),
            "right": _mean(entropy[right]),
            "wrong": _mean(entropy[~right]),
        }
    return section
