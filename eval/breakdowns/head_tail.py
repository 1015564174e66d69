"""Frequent against rare answers within each group: the definition of GQA-OOD (Kervadec et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored
from vqa_gs.eval.metrics import codes

ALPHA = 0.2
# The alphas of GQA-OOD's curve, as its file names have them.
# fmt: off
ALPHAS = (
    9.0, 7.0, 5.0, 3.6, 2.8, 2.2, 1.8, 1.4, 1.0, 0.8, 0.4, 0.3, 0.2, 0.1, 0.0,
    -0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7,
)
# fmt: on


def normalized_entropy(counts: npt.NDArray[np.int64]) -> float:
    """Returns the entropy of answer counts over the largest possible one; 1 where there is one answer only.

    The small number inside the logarithm is GQA-OOD's: whether a group lies just under the threshold can hang on
    its last digits.
    """
    shares = counts / counts.sum()
    entropy = -(shares * np.log(shares + 1e-9)).sum()
    return float(entropy / np.log(len(shares))) if len(shares) > 1 else 1.0


def relative_frequencies(
    groups: Sequence[str], answers: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Says how frequent each question's answer is in its group, and whether the group is imbalanced.

    Args:
        groups: the group of each of n questions.
        answers: the true answer of each.

    Returns:
        float64 (n,), the number of questions in the group with that answer over the mean over its answers; and
        bool (n,), whether the group's normalised entropy is at most the mean over groups less one standard
        deviation.
    """
    frequency = np.zeros(len(groups))
    entropies, members = [], []
    group, answer = codes(groups), codes(answers)
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    for rows in np.split(order, bounds) if len(order) else []:
        _, inverse, counts = np.unique(answer[rows], return_inverse=True, return_counts=True)
        frequency[rows] = counts[inverse] / counts.mean()
        entropies.append(normalized_entropy(counts))
        members.append(rows)
    imbalanced = np.zeros(len(groups), np.bool_)
    values = np.array(entropies)
    for rows, entropy in zip(members, entropies, strict=True):
        imbalanced[rows] = entropy <= values.mean() - values.std()
    return frequency, imbalanced


def _halves(scored: Scored, frequency: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> dict[str, Any]:
    tail = frequency < 1 + ALPHA
    return {
        "head": scored.accuracy(among & ~tail),
        "tail": scored.accuracy(among & tail),
        "head_questions": int((among & ~tail).sum()),
        "tail_questions": int((among & tail).sum()),
    }


@BREAKDOWNS.register("head_tail")
def head_tail(scored: Scored) -> dict[str, Any] | None:
    """Accuracy on answers that are frequent (head) and rare (tail) within their group.

    Groups are GQA's local groups where the data has them, else the question types. An answer is in the tail where
    its count is below (1 + alpha) times the mean count of the group's answers. GQA-OOD keeps the imbalanced
    groups only; the same over all groups stands beside it.
    """
    local = scored.evidence.local_groups
    groups = (
        [local.get(question_id, "none") for question_id in scored.questions.question_ids]
        if local is not None
        else scored.question_types
    )
    frequency, imbalanced = relative_frequencies(groups, scored.truths)
    everywhere = np.ones(len(frequency), np.bool_)
    kept = {group for group, inside in zip(groups, imbalanced.tolist(), strict=True) if inside}
    curve = []
    for alpha in ALPHAS:
        tail = imbalanced & (frequency < 1 + alpha)
        curve.append({"alpha": alpha, "tail": scored.accuracy(tail), "questions": int(tail.sum())})
    return {
        "groups": "local" if local is not None else "question_type",
        "alpha": ALPHA,
        "imbalanced_groups": sorted(kept),
        **_halves(scored, frequency, imbalanced),
        "all_groups": _halves(scored, frequency, everywhere),
        "curve": curve,
    }
