"""The accuracy of each question under a named rule.

Scores are only comparable under the same rule, so a rule is chosen by its name and the name is written beside
every number. A rule is a function from annotations and predictions to accuracies; `RULES` holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation, QuestionId
from vqa_gs.data.targets import leave_one_out_accuracy

Scores = npt.NDArray[np.float64]
Rule = Callable[[Sequence[Annotation], Sequence[str]], Scores]


class _Memo(dict[str, str]):
    """Remembers what a function made of each text, for as long as one scoring lasts."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, text: str) -> str:
        made = self[text] = self.function(text)
        return made


def _answer_ids_differ(ids: Sequence[int | str | None], question_id: QuestionId) -> bool:
    """Checks the ids of one question's answers, and says whether they are all different."""
    record = f"question {question_id!r}"
    if len(ids) < 2:
        raise DataError(
            "the official rule compares each answer with the others, but this question has "
            + ("only one answer and would always score 0" if ids else "no answers"),
            record=record,
            mend="score single answers under a rule made for them, by exact match",
        )
    if any(answer_id is None for answer_id in ids):
        raise DataError(
            "an answer has no answer_id, which the official rule needs to tell equal answers apart",
            record=record,
            mend="number the answers of each question from 1",
        )
    return len(set(ids)) == len(ids)


def _repeated_ids_accuracy(annotation: Annotation, compared: Sequence[str], prediction: str, as_vote: _Memo) -> float:
    """The official accuracy where answer ids repeat within a question.

    The official script takes as "the other answers" those that differ in any field, so two answers alike in
    text, confidence and id leave each other out.
    """
    records = [
        (text, answer.answer_confidence, answer.answer_id)
        for text, answer in zip(compared, annotation.answers, strict=True)
    ]
    wanted = as_vote[prediction]
    thirds = 0
    for record in records:
        thirds += min(3, sum(other[0] == wanted for other in records if other != record))
    return thirds / (3 * len(records))


def official(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """The official VQA accuracy, GT-Vision-Lab/VQA at a013f00 (2021-03-11).

    Answers and prediction lose line breaks, tabs and spaces around them. If the annotators then disagree, all
    are normalised; **if they all agree, nothing is**, so that ten times "yes" against "Yes" scores 0. Each
    annotator in turn is left out and the prediction gets a third for each match among the others, at most 1;
    the mean over the annotators is the accuracy. With ten answers: 0, .3, .6, .9, and 1 from four matches on.
    Other numbers of answers follow the same formula. Sums are in whole numbers, so that 1 is exactly 1.

    Raises:
        DataError: a question has fewer than two answers, or an answer has no answer_id.
    """
    stripped = _Memo(strip_answer)
    normalized = _Memo(lambda text: normalize_answer(strip_answer(text)))
    differ: dict[tuple[int | str | None, ...], bool] = {}
    accuracy_of: dict[int, list[float]] = {}
    scores = np.zeros(len(annotations))
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        answers = annotation.answers
        # Nearly all questions have the ids 1 to 10: checked once, then looked up.
        ids = tuple([answer.answer_id for answer in answers])
        plain = differ.get(ids)
        if plain is None:
            plain = differ[ids] = _answer_ids_differ(ids, annotation.question_id)
            accuracy_of[len(ids)] = [leave_one_out_accuracy(n, len(ids)) for n in range(len(ids) + 1)]
        texts = [answer.answer for answer in answers]
        agree = texts.count(texts[0]) == len(texts) or len({stripped[text] for text in texts}) == 1
        as_vote = stripped if agree else normalized
        compared = [as_vote[text] for text in texts]
        if plain:
            scores[row] = accuracy_of[len(texts)][compared.count(as_vote[prediction])]
        else:
            scores[row] = _repeated_ids_accuracy(annotation, compared, prediction, as_vote)
    return scores


RULES: dict[str, Rule] = {"official": official}
"""The rules by name; the first is the default."""


def score_questions(annotations: Sequence[Annotation], predictions: Sequence[str], rule: str = "official") -> Scores:
    """Scores predictions; neither argument is changed.

    Args:
        annotations: n annotations.
        predictions: the answer predicted for each, in the same order.
        rule: a name in `RULES`.

    Returns:
        float64 (n,), accuracies in 0..1.

    Raises:
        UsageError: there is no such rule, or the two lengths differ.
        DataError: the rule does not apply to a question; the message says why and names it.
    """
    if rule not in RULES:
        raise UsageError(f"there is no scoring rule {rule!r}", mend=f"choose one of {', '.join(RULES)}")
    if len(annotations) != len(predictions):
        raise UsageError(
            f"{len(predictions)} predictions for {len(annotations)} questions",
            mend="give one for each question",
        )
    return RULES[rule](annotations, predictions)
