"""`one-of`: right is any of a question's answers, as written; CARETS' rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from vqa_gs.eval.rules import RULES, Scores

from vqa_gs.data.questions import Annotation


@RULES.register("one-of")
def one_of(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """1 where the prediction is one of the answers, character by character, else 0."""
    scores = np.zeros(len(annotations))
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        scores[row] = any(answer.answer == prediction for answer in annotation.answers)
    return scores
