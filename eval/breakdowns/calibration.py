"""Whether a model knows when it is right: calibration of the answers' probabilities, and their entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Figures, Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table
from vqa_gs.eval.report_content.run_curves import run_curves

BINS = 15


class Bin(msgspec.Struct, frozen=True):
    """Answers of about the same confidence: mean confidence and accuracy, in percent."""

    low: float
    high: float
    questions: int
    confidence: float
    accuracy: float


class Entropy(msgspec.Struct, frozen=True):
    """Mean entropy of the distribution over answers, in nats, None of none."""

    mean: float | None
    right: float | None
    wrong: float | None


def reliability(confidence: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64], bins: int = BINS) -> list[Bin]:
    """Returns mean confidence and accuracy in bins of equal width, the empty ones left out.

    Args:
        confidence: (n,) in 0..1; bin i holds what is above i / bins and at most (i + 1) / bins, the first also 0.
        accuracy: (n,) in 0..1.
        bins: how many.
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for index in range(bins):
        inside = place == index
        if inside.any():
            means = (100 * float(values[inside].mean()) for values in (confidence, accuracy))
            rows.append(Bin(index / bins, (index + 1) / bins, int(inside.sum()), *means))
    return rows


def expected_error(rows: Sequence[Bin]) -> float:
    """Returns the expected calibration error of `reliability`'s bins in points (Guo et al., ICML 2017)."""
    total = sum(row.questions for row in rows)
    return float(sum(row.questions * abs(row.confidence - row.accuracy) for row in rows) / total)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


@BREAKDOWNS.register("calibration")
class Calibration(Breakdown, frozen=True):
    """Expected calibration error, the reliability diagram's bins, and the entropy of right and wrong answers.

    The accuracy is that of the scoring rule, so an answer that a third of the annotators give counts as partly
    right. Entropies are in nats.
    """

    order: ClassVar[int] = 66

    questions: int
    ece: float
    confidence: float
    accuracy: float
    bins: list[Bin]
    per_answer_type: dict[str, float]
    entropy: Entropy | None = None

    @classmethod
    def of(cls, scored: Scored) -> Calibration | None:
        """Computes the section."""
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
        types = np.array([scored.annotations[row].answer_type for row in rows], dtype=object)
        per_type = {
            kind: expected_error(reliability(sure[types == kind], accuracy[types == kind]))
            for kind in sorted(set(types))
        }
        entropies = [known[ids[row]].entropy for row in rows]
        entropy = None
        if all(value is not None for value in entropies):
            values, right = np.array(entropies, np.float64), accuracy >= 0.5
            entropy = Entropy(_mean(values), _mean(values[right]), _mean(values[~right]))
        means = 100 * float(sure.mean()), 100 * float(accuracy.mean())
        return cls(len(rows), expected_error(bins), *means, bins, per_type, entropy)

    def lines(self, rule: str) -> list[str]:
        """Returns the calibration error."""
        return [f"expected calibration error {self.ece:.2f} points ({rule})"]

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the reliability diagrams, on whose diagonal a model is as often right as it says, and the table."""
        notes = (
            f"Accuracy as scored by {content.rule}. Expected calibration error: 15 bins of equal width, in points "
            "(Guo et al., 2017); lower is better. Entropy of the distribution over answers in nats.",
        )
        measures: list[MeasureRow[Calibration]] = [
            MeasureRow("expected calibration error", at("ece"), at("questions")),
            MeasureRow("mean confidence, %", at("confidence")),
            MeasureRow("accuracy, %", at("accuracy")),
            MeasureRow("entropy, right answers", at("entropy", "right")),
            MeasureRow("entropy, wrong answers", at("entropy", "wrong")),
        ]
        table = measure_table(content, Calibration, "Calibration", notes, measures)
        if table is None:
            return None

        def points(one: Calibration) -> list[tuple[float, float]]:
            return [(row.confidence, row.accuracy) for row in one.bins]

        pick = content.picking(Calibration, points)
        charts = run_curves(content, "Accuracy by confidence", pick, "confidence, %", diagonal=True)
        figures = (Figures(charts, "arms"),) if charts else ()
        return Section("Calibration", "calibration", "Calibration", (*figures, table))
