"""`two-way`: the first of yes and no, or of A and B, that a prediction names; NaturalBench's rule."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from vqa_gs.eval.rules import RULES, Scores

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import Annotation

_WORDS = {frozenset(pair): pair for pair in (("yes", "no"), ("a", "b"))}


def first_named(text: str, pair: tuple[str, str]) -> str | None:
    """Returns which of two words stands first in a text as a word of its own, whatever its case; None for neither."""
    found = re.search(rf"\b(?:{pair[0]}|{pair[1]})\b", text, re.IGNORECASE)
    return found.group().lower() if found else None


@RULES.register("two-way")
def two_way(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """1 where the prediction names the right one of two answers first, else 0.

    As NaturalBench's script extracts answers (Li et al., NeurIPS 2024): the first of "yes" and "no" as words, or of "A"
    and "B", in either case; so the article "a" is the letter A, as it is there. MMVP's options (a) and (b) are the
    same.

    Raises:
        DataError: a question's answer is none of yes, no, A, B.
    """
    pair_of = {word: pair for words, pair in _WORDS.items() for word in words}
    scores = np.zeros(len(annotations))
    for row, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        truth = annotation.majority.strip().strip("()").lower()
        if truth not in pair_of:
            raise DataError(
                f"this rule is for yes, no, A and B, but the answer is {annotation.majority[:40]!r}",
                record=f"question {annotation.question_id!r}",
                mend="score other answers by --scoring exact-normalized",
            )
        scores[row] = first_named(prediction, pair_of[truth]) == truth
    return scores
