"""GQA's scores of answers whatever the image (Hudson and Manning, CVPR 2019): distribution, validity, plausibility."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from vqa_gs.eval.breakdown import BREAKDOWNS, Breakdown, Measured
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.measure_table import MeasureRow, at, measure_table

# What GQA's script takes for valid and plausible where a question asks what objects have in common.
_COMMON = frozenset({"color", "material", "shape"})


@BREAKDOWNS.register("gqa_answers")
class GqaAnswers(Breakdown, frozen=True):
    """What GQA's script computes over balanced questions, from predictions as written.

    Attributes:
        distribution: the chi-square statistic of the predicted answers against the true ones within each global group,
            averaged over groups weighted by their questions, over 100; lower is better. None where no question has a
            global group.
        grouped: how many questions have one.
        validity: percent of the answers that can be answers to their question; None without a choices file.
        plausibility: percent that make sense in the world; None likewise.
        chosen: how many questions the choices file names.
    """

    order: ClassVar[int] = 39

    distribution: float | None
    grouped: int
    validity: float | None
    plausibility: float | None
    chosen: int

    @classmethod
    def of(cls, scored: Scored) -> GqaAnswers | None:
        """Computes the section."""
        groups = scored.evidence.groups
        if groups.global_groups is None:
            return None
        answers = ["" if text is None else text for text in scored.predictions]
        valid = plausible = chosen = 0
        gold: dict[str, Counter[str]] = {}
        predicted: dict[str, Counter[str]] = {}
        for key, annotation, answer in zip(scored.questions.question_ids, scored.annotations, answers, strict=True):
            group = groups.global_groups.get(key)
            if group is not None:
                gold.setdefault(group, Counter())[annotation.majority] += 1
                predicted.setdefault(group, Counter())[answer] += 1
            choices = groups.choices.get(key)
            if choices is not None:
                chosen += 1
                valid += answer in (_COMMON if key in groups.common else choices.valid)
                plausible += answer in (_COMMON if key in groups.common else choices.plausible)
        grouped = sum(count.total() for count in gold.values())
        return cls(
            _chi_square(gold, predicted) / 100 if grouped else None,
            grouped,
            100 * valid / chosen if chosen else None,
            100 * plausible / chosen if chosen else None,
            chosen,
        )

    def lines(self, rule: str) -> list[str]:
        """Returns the three scores."""
        told = [] if self.distribution is None else [f"distribution {self.distribution:.2f} (lower is better)"]
        if self.validity is not None:
            told += [f"validity {self.validity:.2f} %", f"plausibility {self.plausibility:.2f} %"]
        return [f"GQA: {', '.join(told)}"] if told else []

    def on_card(self) -> dict[str, Measured]:
        """Returns the three scores."""
        named = {
            "distribution (lower is better, no %)": (self.distribution, self.grouped),
            "validity": (self.validity, self.chosen),
            "plausibility": (self.plausibility, self.chosen),
        }
        return {name: Measured(value, count) for name, (value, count) in named.items() if value is not None}

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns the table."""
        rows: list[MeasureRow[GqaAnswers]] = [
            MeasureRow("distribution", at("distribution"), at("grouped")),
            MeasureRow("validity, %", at("validity"), at("chosen"), best_is_high=True),
            MeasureRow("plausibility, %", at("plausibility"), at("chosen"), best_is_high=True),
        ]
        notes = (
            "As GQA's script computes them, whatever the image. Distribution: chi-square of predicted answers against"
            " true ones within global groups, over 100; lower is better.",
        )
        table = measure_table(content, GqaAnswers, "GQA: answers as such", notes, rows)
        return Section("GQA: answers as such", "gqa-answers", "GQA's scores", (table,)) if table else None


def _chi_square(gold: dict[str, Counter[str]], predicted: dict[str, Counter[str]]) -> float:
    """Returns the statistic, summed in the order of the questions as the script does: equal to the last digit."""
    total, weights = 0.0, 0
    for group, expected in gold.items():
        score, size = 0.0, 0
        for answer, count in expected.items():
            score += float(predicted[group].get(answer, 0) - count) ** 2 / count
            size += count
        total += score * size
        weights += size
    return total / weights
