"""`exact` and `exact-normalized`: for sets with one answer a question (GQA, GQA-OOD, VQA-RAD)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from vqa_gs.eval.rules import RULES, Memo, Scores

from vqa_gs.common.errors import DataError
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation


def _same(annotations: Sequence[Annotation], predictions: Sequence[str], function: Callable[[str], str]) -> Scores:
    scores, form = np.zeros(len(annotations)), Memo(function).__getitem__
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        answers = annotation.answers
        texts = {answer.answer for answer in answers}
        if len(texts) == 1:
            given = form(answers[0].answer)
        else:
            forms = set(map(form, texts))
            if len(forms) != 1:
                raise DataError(
                    "exact match needs one answer, or equal ones, but this question has "
                    + (f"{len(forms)} different ones" if forms else "none"),
                    record=f"question {annotation.question_id!r}",
                    mend="score several annotators' answers with --scoring official",
                )
            (given,) = forms
        scores[row] = form(prediction) == given
    return scores


@RULES.register("exact")
def exact(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """1 where the prediction is the answer, character by character, else 0; GQA's and GQA-OOD's rule.

    Raises:
        DataError: a question has several answers that differ.
    """
    return _same(annotations, predictions, lambda text: text)


@RULES.register("exact-normalized")
def exact_normalized(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """1 where prediction and answer are equal after the official processing, else 0.

    For single answers whose spelling varies: VQA-RAD writes "Yes", "yes" and "YES".

    Raises:
        DataError: a question has several answers that differ.
    """
    return _same(annotations, predictions, lambda text: normalize_answer(strip_answer(text)))
