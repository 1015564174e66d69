"""`min-n-over-3`: the soft score of SSL-VQA, SAR, D-VQA and allennlp-models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from vqa_gs.eval.rules import RULES, Scores

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import Annotation


@RULES.register("min-n-over-3")
def min_n_over_3(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """min(n / 3, 1) for n annotators who wrote exactly the predicted text.

    Nobody is left out, so one, two and three votes give 1/3, 2/3 and 1 instead of .3, .6 and .9: numbers under
    this rule are about 0.9 points higher than official ones. As in the originals nothing is normalised: there
    the prediction is a string of the vocabulary, and the votes are counted over the answers as written.

    Raises:
        DataError: a question has fewer than two answers.
    """
    scores = np.zeros(len(annotations))
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        answers = annotation.answers
        if len(answers) < 2:
            raise DataError(
                f"this rule counts votes among several answers, but this question has {len(answers)}",
                record=f"question {annotation.question_id!r}",
                mend="score single answers by exact match: --scoring exact, or exact-normalized",
            )
        votes = 0
        for answer in answers:
            votes += answer.answer == prediction
        scores[row] = min(1.0, votes / 3)
    return scores
