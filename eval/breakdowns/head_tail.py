"""Frequent against rare answers within each group: the definition of GQA-OOD (Kervadec et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, shown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.metrics import codes
from vqa_gs.eval.report_content.blocks import Figures, Section
from vqa_gs.eval.report_content.content import BOLD_NOTE, Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table
from vqa_gs.eval.report_content.run_curves import run_curves

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


class Halves(msgspec.Struct, frozen=True):
    """Accuracy on frequent and rare answers, None of none, and the questions of each."""

    head: float | None
    tail: float | None
    head_questions: int
    tail_questions: int


class CurvePoint(msgspec.Struct, frozen=True):
    """The accuracy on the tail at another threshold."""

    alpha: float
    tail: float | None
    questions: int


@BREAKDOWNS.register("head_tail")
class HeadTail(Breakdown, frozen=True, kw_only=True):
    """Accuracy on answers that are frequent (head) and rare (tail) within their group.

    Groups are GQA's local groups where the data has them, else the question types. An answer is in the tail where
    its count is below (1 + alpha) times the mean count of the group's answers. GQA-OOD keeps the imbalanced
    groups only; the same over all groups stands beside it.
    """

    order: ClassVar[int] = 34

    groups: str
    alpha: float
    imbalanced_groups: list[str]
    head: float | None
    tail: float | None
    head_questions: int
    tail_questions: int
    all_groups: Halves
    curve: list[CurvePoint]

    @classmethod
    def of(cls, scored: Scored) -> HeadTail:
        """Computes the section."""
        local = scored.evidence.local_groups
        groups = (
            [local.get(question_id, "none") for question_id in scored.questions.question_ids]
            if local is not None
            else scored.question_types
        )
        frequency, imbalanced = relative_frequencies(groups, scored.truths)

        def halves(among: npt.NDArray[np.bool_]) -> Halves:
            tail = frequency < 1 + ALPHA
            head, rare = among & ~tail, among & tail
            return Halves(scored.accuracy(head), scored.accuracy(rare), int(head.sum()), int(rare.sum()))

        curve = []
        for alpha in ALPHAS:
            tail = imbalanced & (frequency < 1 + alpha)
            curve.append(CurvePoint(alpha, scored.accuracy(tail), int(tail.sum())))
        return cls(
            groups="local" if local is not None else "question_type",
            alpha=ALPHA,
            imbalanced_groups=sorted(
                {group for group, inside in zip(groups, imbalanced.tolist(), strict=True) if inside}
            ),
            **msgspec.structs.asdict(halves(imbalanced)),
            all_groups=halves(np.ones(len(frequency), np.bool_)),
            curve=curve,
        )

    def lines(self, rule: str) -> list[str]:
        """Returns both accuracies."""
        return [f"head {shown(self.head)} %, tail {shown(self.tail)} % ({rule}, alpha {self.alpha})"]

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table and the tail accuracy over alpha for each split."""
        notes = (
            content.note(),
            "Tail: answers whose count in their group lies below 1.2 times the mean count of the group's answers "
            "(GQA-OOD, alpha 0.2). Groups are GQA's local groups where the data has them, else question types; "
            "imbalanced ones are those of low entropy.",
            BOLD_NOTE,
        )
        measures = [
            MeasureRow[HeadTail](label, at(*path), at(*path[:-1], f"{path[-1]}_questions"), best_is_high=True)
            for label, path in (
                ("head, imbalanced groups", ["head"]),
                ("tail, imbalanced groups", ["tail"]),
                ("head, all groups", ["all_groups", "head"]),
                ("tail, all groups", ["all_groups", "tail"]),
            )
        ]
        name = "Frequent and rare answers"
        table = measure_table(content, HeadTail, name, notes, measures)
        if table is None:
            return None

        def points(one: HeadTail) -> list[tuple[float, float]]:
            return sorted((point.alpha, point.tail) for point in one.curve if point.tail is not None)

        charts = run_curves(content, "Tail accuracy by alpha", content.picking(HeadTail, points), "alpha")
        figures = (Figures(charts, "arms"),) if charts else ()
        return Section(name, "head-tail", "Head and tail", (*figures, table))
