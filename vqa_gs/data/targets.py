"""Soft targets: how right each known answer is, by the annotators' votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.normalize import answer_form
from vqa_gs.data.questions import Annotation
from vqa_gs.data.vocabulary import AnswerVocabulary


def leave_one_out_accuracy(votes: int, answers: int) -> float:
    """Returns the official accuracy of an answer given by ``votes`` of ``answers`` annotators.

    Each annotator in turn is left out, and the answer gets a third for each match among the others, at most
    1; the mean over all is (votes min(1, (votes-1)/3) + (answers-votes) min(1, votes/3)) / answers. With ten
    answers: 0, .3, .6, .9 and, from four votes, 1. A lone annotator leaves nobody to compare with; there the
    answer itself counts as right, where the formula would give 0 (VQA-RAD, GQA).

    Args:
        votes: how many gave the answer, 0 to ``answers``.
        answers: how many there are, at least 1.
    """
    if answers == 1:
        return float(votes)
    # In whole numbers up to the division, so that .3 is exactly 0.3.
    return (votes * min(3, max(votes - 1, 0)) + (answers - votes) * min(3, votes)) / (3 * answers)


@dataclass(frozen=True)
class SoftTargets:
    """The score of each right answer of n questions, in compressed rows.

    Attributes:
        first: int64 (n + 1,); question i has the entries ``first[i]:first[i + 1]``.
        label: int32 (entries,), ascending within a question.
        score: float32 (entries,), above 0, at most 1.
        answers: the size of the vocabulary.
    """

    first: npt.NDArray[np.int64]
    label: npt.NDArray[np.int32]
    score: npt.NDArray[np.float32]
    answers: int

    @classmethod
    def from_arrays(cls, first: npt.ArrayLike, label: npt.ArrayLike, score: npt.ArrayLike, answers: int) -> SoftTargets:
        """Builds targets from arrays as the attributes describe them, in any dtype that converts.

        Raises:
            UsageError: the arrays do not fit each other or the vocabulary.
        """
        rows = np.ascontiguousarray(first, np.int64)
        labels = np.ascontiguousarray(label, np.int32)
        scores = np.ascontiguousarray(score, np.float32)
        if rows.ndim != 1 or len(rows) < 1 or labels.ndim != 1 or labels.shape != scores.shape:
            raise UsageError(
                f"soft targets of shapes {rows.shape}, {labels.shape} and {scores.shape}",
                mend="expected (n + 1,), (entries,) and (entries,)",
            )
        if rows[0] != 0 or rows[-1] != len(labels) or (np.diff(rows) < 0).any():
            raise UsageError(
                f"the rows of the soft targets do not cover their {len(labels)} entries",
                mend="`first` has to rise from 0 to the number of entries",
            )
        if len(labels) and not (labels.min() >= 0 and labels.max() < answers):
            raise UsageError(
                f"labels from {labels.min()} to {labels.max()} in a vocabulary of {answers} answers",
                mend="use the vocabulary the targets were made with",
            )
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
            raise UsageError("scores outside 0..1 in the soft targets", mend="give accuracies, not percentages")
        return cls(rows, labels, scores, answers)

    def __len__(self) -> int:
        return len(self.first) - 1

    def dense(
        self, rows: Sequence[int] | npt.NDArray[np.integer], out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Returns the scores of some questions for every answer.

        Args:
            rows: the questions, b of them.
            out: float32 (b or more, answers), written over instead of new memory.

        Returns:
            float32 (b, answers): new, or the first b rows of ``out``.

        Raises:
            UsageError: ``out`` has another shape or dtype.
            IndexError: there is no such row.
        """
        chosen = np.asarray(rows, np.int64)
        if out is None:
            result = np.zeros((len(chosen), self.answers), np.float32)
        elif out.dtype != np.float32 or out.ndim != 2 or len(out) < len(chosen) or out.shape[1] != self.answers:
            raise UsageError(
                f"`out` is {out.dtype} {out.shape}", mend=f"expected float32 ({len(chosen)}, {self.answers})"
            )
        else:
            result = out[: len(chosen)]
            result.fill(0)
        if len(chosen):
            # Negative rows count from the end, as in NumPy; first[-1 + 1] would read the wrong end.
            chosen = np.where(chosen < 0, chosen + len(self), chosen)
            if chosen.min() < 0 or chosen.max() >= len(self):
                raise IndexError(f"row {chosen.min()} or {chosen.max()} of {len(self)} questions")
            counts = self.first[chosen + 1] - self.first[chosen]
            row = np.repeat(np.arange(len(chosen)), counts)
            within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
            entry = self.first[chosen][row] + within
            result[row, self.label[entry]] = self.score[entry]
        return result

    def best(self) -> npt.NDArray[np.int64]:
        """Returns int64 (n,): the label of the highest score, of equal ones the lowest; -1 where none is."""
        best = np.full(len(self), -1, np.int64)
        row = np.repeat(np.arange(len(self)), np.diff(self.first))
        # Sorted so that the wanted entry of each row comes last: assignment keeps the last value written.
        order = np.lexsort((-self.label.astype(np.int64), self.score, row))
        best[row[order]] = self.label[order]
        return best


def soft_targets(annotations: Iterable[Annotation], vocabulary: AnswerVocabulary) -> SoftTargets:
    """Scores the known answers of each question by `leave_one_out_accuracy` over answers in the vocabulary's form.

    Votes are counted after normalising, so that spellings ("two", "2") do not split them. This differs from
    the official score in one case on purpose: where all annotators wrote the same, that score compares raw
    text, and a target has to be right all the same.

    Args:
        annotations: n annotations.
        vocabulary: the answers that count; others are left out, so a question may have no entry at all.

    Raises:
        DataError: a question has no answers.
    """
    form = answer_form(vocabulary.rule)
    # Raw answer -> label, -1 for those outside the vocabulary: one look-up for each of millions of answers.
    labels: dict[str, int] = {}
    find = vocabulary.index.get
    first, label, score = [0], [], []
    for annotation in annotations:
        votes: Counter[int] = Counter()
        for answer in annotation.answers:
            raw = answer.answer
            known = labels.get(raw)
            if known is None:
                known = labels[raw] = find(form(raw), -1)
            votes[known] += 1
        if not votes:
            raise DataError("this question has no answers", record=f"question {annotation.question_id!r}")
        total = len(annotation.answers)
        for entry, count in sorted(votes.items()):
            accuracy = leave_one_out_accuracy(count, total)
            if entry >= 0 and accuracy > 0:
                label.append(entry)
                score.append(accuracy)
        first.append(len(label))
    return SoftTargets.from_arrays(first, label, score, len(vocabulary))
