"""Splits whose examples have one answer each, scored and analysed as answers to questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from eval.analysis import analyse
from eval.breakdowns import Evidence
from eval.evaluate import evaluate
from eval.results import write_results
from vqa_gs.common.files import write_json
from vqa_gs.data.questions import QuestionId, QuestionSet
from vqa_gs.tasks._base import Split


@dataclass
class ScoredSplit(Split):
    """A split of questions with answers; what is predicted is a label a question.

    Attributes:
        name: what metrics and predictions are filed under.
        questions: questions and annotations.
        rule: the scoring rule.
        answers: the answer of each label.
        subsets: named lists of question ids.
        evidence: what a full analysis may look at: the training annotations, named lists of pairs of question ids.
        chosen_on_test: epochs are chosen on questions of a test split, which the analysis has to say.
    """

    name: str
    questions: QuestionSet
    rule: str
    answers: list[str]
    subsets: dict[str, Any]
    evidence: Evidence
    chosen_on_test: bool

    def answered(self, labels: Tensor) -> dict[QuestionId, str]:
        """Returns question id -> answer text of ``labels: (n,) int64``."""
        ids = self.questions.question_ids
        return {question_id: self.answers[label] for question_id, label in zip(ids, labels.tolist(), strict=True)}

    def try_out(self) -> None:
        """Scores empty answers: what scoring will refuse is refused now."""
        self._evaluate(dict.fromkeys(self.questions.question_ids, ""))

    def score(self, predictions: Tensor) -> float:
        """Returns the accuracy of labels, in percent."""
        return float(self._evaluate(self.answered(predictions))["overall"])

    def report(self, predictions: Tensor, folder: Path) -> dict[str, Any]:
        """Writes answers and their analysis: averages, intervals, breakdowns, notes."""
        answers = self.answered(predictions)
        metrics = analyse(self.questions, answers, self.rule, self.name, self.subsets, evidence=self.evidence)
        if self.chosen_on_test:
            metrics["selection"] = {"on_test": True}
            metrics["notes"].append("epochs were chosen on questions of a test split")
        write_results(folder / "predictions" / f"{self.name}.json", answers)
        write_json(folder / "metrics" / f"{self.name}.json", metrics)
        return metrics

    def _evaluate(self, answers: dict[QuestionId, str]) -> dict[str, Any]:
        return evaluate(self.questions, answers, self.rule, self.name, self.subsets, self.evidence.pairs)
