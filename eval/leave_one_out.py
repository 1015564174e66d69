"""The formula of the official script: each annotator left out in turn, a third for each match among the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from vqa_gs.eval.rules import Memo, Scores

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import Annotation, QuestionId

Comparison = Callable[[list[str]], tuple[Memo, Memo]]
"""From a question's answers as written: what is made of the answers, and of the prediction, before comparing."""


_ID, _TEXT = attrgetter("answer_id"), attrgetter("answer")


def _answer_ids_differ(ids: Sequence[int | str | None], question_id: QuestionId) -> bool:
    """Checks the ids of one question's answers, and says whether they are all different."""
    record = f"question {question_id!r}"
    if len(ids) < 2:
        raise DataError(
            "this rule compares each answer with the others, but this question has "
            + ("only one answer and would always score 0" if ids else "no answers"),
            record=record,
            mend="score single answers by exact match: --scoring exact, or exact-normalized",
        )
    if any(answer_id is None for answer_id in ids):
        raise DataError(
            "an answer has no answer_id, which this rule needs to tell equal answers apart",
            record=record,
            mend="number the answers of each question from 1",
        )
    return len(set(ids)) == len(ids)


def _mean(accuracies: Sequence[float]) -> float:
    # From left to right as the script adds: `sum` compensates for rounding since Python 3.12.
    total = 0.0
    for accuracy in accuracies:
        total += accuracy
    return total / len(accuracies)


def _by_matches(matches: tuple[bool, ...]) -> float:
    """The accuracy where all answer ids differ, from which answers match; bit for bit the script's."""
    count = sum(matches)
    return _mean([min(1.0, (count - match) / 3) for match in matches])


def _repeated_ids(annotation: Annotation, compared: Sequence[str], wanted: str) -> float:
    """The accuracy where answer ids repeat within a question.

    The script takes as "the other answers" those that differ in any field, so two answers alike in text,
    confidence and id leave each other out.
    """
    records = [
        (text, answer.answer_confidence, answer.answer_id)
        for text, answer in zip(compared, annotation.answers, strict=True)
    ]
    return _mean([min(1.0, sum(other[0] == wanted for other in records if other != record) / 3) for record in records])


def leave_one_out(annotations: Sequence[Annotation], predictions: Sequence[str], comparison: Comparison) -> Scores:
    """Scores by the official formula, given what is compared.

    Args:
        annotations: n annotations.
        predictions: n predictions.
        comparison: see `Comparison`.

    Returns:
        float64 (n,), accuracies in 0..1, equal to the script's to the last bit.

    Raises:
        DataError: a question has fewer than two answers, or an answer has no answer_id.
    """
    differ: dict[tuple[int | str | None, ...], bool] = {}
    accuracy_of: dict[tuple[bool, ...], float] = {}
    scores = np.zeros(len(annotations))
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        answers = annotation.answers
        # Nearly all questions have the ids 1 to 10: checked once, then looked up.
        ids = tuple(map(_ID, answers))
        plain = differ.get(ids)
        if plain is None:
            plain = differ[ids] = _answer_ids_differ(ids, annotation.question_id)
        texts = list(map(_TEXT, answers))
        as_answer, as_prediction = comparison(texts)
        compared = list(map(as_answer.__getitem__, texts))
        wanted = as_prediction[prediction]
        if not plain:
            scores[row] = _repeated_ids(annotation, compared, wanted)
            continue
        count = compared.count(wanted)
        if count >= 4:
            scores[row] = 1.0
        elif count:
            # Two or three matches round differently by where they stand.
            matches = tuple([text == wanted for text in compared])
            accuracy = accuracy_of.get(matches)
            if accuracy is None:
                accuracy = accuracy_of[matches] = _by_matches(matches)
            scores[row] = accuracy
    return scores
