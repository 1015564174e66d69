"""Splits whose examples have one answer each, scored and analysed as answers to questions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Generator
from contextlib import closing
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from vqa_gs.common.phases import phase
from vqa_gs.contracts import Objective
from vqa_gs.data.questions import QuestionId, QuestionSet
from vqa_gs.eval.analysis import analyse
from vqa_gs.eval.controls import CONTROLS, AnswerControls
from vqa_gs.eval.evaluate import evaluate
from vqa_gs.eval.evidence import Evidence
from vqa_gs.eval.metrics_file import write_metrics
from vqa_gs.eval.results import write_results
from vqa_gs.eval.runs import ModelSelection, SplitMetrics
from vqa_gs.pipeline.task import Split


@dataclass
class ScoredSplit(Split):
    """A split of questions with answers; what is predicted is a label a question, and one more under each control.

    Attributes:
        name: what metrics and predictions are filed under.
        questions: questions and annotations.
        rule: the scoring rule.
        answers: the answer of each label.
        subsets: named lists of question ids.
        evidence: what a full analysis may look at: the training annotations, named lists of pairs of question ids.
        chosen_on_test: epochs are chosen on questions of a test split, which the analysis has to say.
        controls: chooses answers under the controls; None where these mean nothing. The sigmoid of a logit is then the
            probability of its answer.
    """

    name: str
    questions: QuestionSet
    rule: str
    answers: list[str]
    subsets: dict[str, Any]
    evidence: Evidence
    chosen_on_test: bool
    controls: AnswerControls | None = field(default=None, kw_only=True)

    @abstractmethod
    def logits(
        self, model: nn.Module, batch_size: int, rank: int, world: int, terms: Collection[Objective]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yields rows (b,) int64 on the CPU and their logits (b, answers), for this process's share of the batches."""

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch_size: int = 512,
        rank: int = 0,
        world: int = 1,
        terms: Collection[Objective] = (),
    ) -> Tensor:
        """Returns the label of the highest logit of every example, and those under the controls, (n, 1 + controls)."""
        was_training = model.training
        model.eval()
        labels = torch.zeros(len(self.questions), 1 + (len(CONTROLS) if self.controls else 0), dtype=torch.int64)
        share = -(-len(self.questions) // world)
        with (
            phase(f"scoring {self.name}", share, "questions") as advance,
            closing(self.logits(model, batch_size, rank, world, terms)) as batches,
        ):
            for rows, logits in batches:
                labels[rows, 0] = logits.argmax(1).cpu()
                if self.controls is not None:
                    chosen = self.controls.choose(rows.numpy(), logsigmoid(logits.float()).cpu().numpy())
                    labels[rows, 1:] = torch.from_numpy(chosen)
                advance(len(rows))
        model.train(was_training)
        return labels

    def answered(self, labels: Tensor) -> dict[QuestionId, str]:
        """Returns question id -> answer text of ``labels: (n,) int64``."""
        ids = self.questions.question_ids
        return {question_id: self.answers[label] for question_id, label in zip(ids, labels.tolist(), strict=True)}

    def check(self) -> None:
        """Scores empty answers: what scoring will refuse is refused now."""
        self._evaluate(dict.fromkeys(self.questions.question_ids, ""))

    def score(self, predictions: Tensor) -> float:
        """Returns the accuracy of the labels, in percent."""
        overall = self._evaluate(self.answered(predictions[:, 0])).overall
        assert overall is not None
        return overall

    def report(self, predictions: Tensor, folder: Path) -> SplitMetrics:
        """Writes answers and their analysis: averages, intervals, breakdowns, notes."""
        answers, evidence = self.answered(predictions[:, 0]), self.evidence
        if self.controls is not None:
            evidence = replaced(evidence, controlled=self.controls.answered(predictions[:, 1:].numpy()))
        metrics = analyse(self.questions, answers, self.rule, self.name, self.subsets, evidence=evidence)
        if self.chosen_on_test:
            metrics.notes.append("epochs were chosen on questions of a test split")
            metrics = replace(metrics, selection=ModelSelection(on_test=True))
        write_results(folder / "predictions" / f"{self.name}.json", answers)
        write_metrics(folder / "metrics" / f"{self.name}.json", metrics)
        return metrics

    def _evaluate(self, answers: dict[QuestionId, str]) -> SplitMetrics:
        return evaluate(self.questions, answers, self.rule, self.name, self.subsets, self.evidence.pairs)
