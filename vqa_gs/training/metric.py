"""`VQAAccuracy`: the accuracy as a stateful metric for one's own training loop, on one process or many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, QuestionId
from vqa_gs.eval.rules import DEFAULT_RULE, score_questions

try:
    from torchmetrics import Metric
except ImportError as error:
    raise UsageError("VQAAccuracy needs torchmetrics", mend="pip install torchmetrics") from error


class VQAAccuracy(Metric):
    """VQA accuracy under a named rule, in percent, over the answers so far.

    One of torchmetrics' metrics (extra ``metrics``), to be logged, collected and synchronised like any other.

    The states are two plain sums for each question: of its scores and of the times it was answered. So a question
    that two processes answer, as a distributed sampler's padding makes them, counts once.

    Args:
        annotations: the questions that can be answered.
        rule: the scoring rule, see `vqa_gs.eval.rules.RULES`.
        per: break the accuracy down by ``answer_type`` or ``question_type``; `compute` then returns a dictionary of
            tensors, "overall" among them.

    Example:
        >>> from vqa_gs.data.questions import Annotation, Answer
        >>> ten = tuple(Answer("yes", "yes", number) for number in range(1, 11))
        >>> metric = VQAAccuracy([Annotation(7, 1, ten)])
        >>> metric.update([7], ["yes"])
        >>> metric.compute().item()
        100.0
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    scores: Tensor
    answered: Tensor

    def __init__(
        self,
        annotations: Sequence[Annotation],
        rule: str = DEFAULT_RULE,
        per: Literal["answer_type", "question_type"] | None = None,
    ) -> None:
        super().__init__()
        self.rule, self.per = rule, per
        self.annotations = list(annotations)
        self.row_of: dict[QuestionId, int] = {entry.question_id: row for row, entry in enumerate(self.annotations)}
        self.groups: dict[str, list[int]] = {}
        for row, annotation in enumerate(self.annotations if per else ()):
            self.groups.setdefault(getattr(annotation, str(per)), []).append(row)
        # float64: sums of a quarter of a million thirds and tenths.
        self.add_state("scores", torch.zeros(len(self.annotations), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("answered", torch.zeros(len(self.annotations), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, question_ids: Iterable[QuestionId] | Tensor, answers: Iterable[str]) -> None:
        """Takes the answers to a batch of questions.

        Args:
            question_ids: b ids; a tensor of numbers will do.
            answers: b predicted answers.

        Raises:
            UsageError: the numbers differ, or a question is unknown.
            DataError: the rule does not apply to a question.

        Example:
            >>> from vqa_gs.data.questions import Annotation, Answer
            >>> metric = VQAAccuracy([Annotation(7, 1, (Answer("red"),))], rule="exact")
            >>> metric.update(torch.tensor([7]), ["Red"])
            >>> metric.compute().item()
            0.0
        """
        ids = question_ids.tolist() if isinstance(question_ids, Tensor) else list(question_ids)
        texts = list(answers)
        if len(ids) != len(texts):
            raise UsageError(f"{len(texts)} answers to {len(ids)} questions", mend="give one for each")
        stray = [entry for entry in ids if entry not in self.row_of]
        if stray:
            raise UsageError(f"question {stray[0]!r} is unknown", mend="give the metric the annotations of the split")
        rows = [self.row_of[entry] for entry in ids]
        scores = score_questions([self.annotations[row] for row in rows], texts, self.rule)
        place = torch.tensor(rows, dtype=torch.int64, device=self.scores.device)
        self.scores.index_add_(0, place, torch.from_numpy(scores).to(self.scores))
        self.answered.index_add_(0, place, torch.ones_like(place, dtype=self.answered.dtype))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Returns the mean accuracy over the questions answered so far, in percent; NaN before the first.

        Returns:
            () float64; with ``per`` a dictionary of them, ``overall`` first, then the groups by name.

        Example:
            >>> from vqa_gs.data.questions import Annotation, Answer
            >>> red = Annotation(7, 1, (Answer("red"),), "what color is the", "other")
            >>> two = Annotation(8, 1, (Answer("2"),), "how many", "number")
            >>> metric = VQAAccuracy([red, two], "exact", per="answer_type")
            >>> metric.update([7, 8], ["red", "3"])
            >>> {name: value.item() for name, value in metric.compute().items()}
            {'overall': 50.0, 'number': 0.0, 'other': 100.0}
        """
        there = self.answered > 0
        accuracy = 100 * self.scores / self.answered.clamp_min(1)
        overall = accuracy[there].mean()
        if not self.per:
            return overall
        parts = {"overall": overall}
        for name, rows in sorted(self.groups.items()):
            inside = torch.tensor(rows, device=there.device)
            parts[name] = accuracy[inside][there[inside]].mean()
        return parts
