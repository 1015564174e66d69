"""The accuracy of each question under a named rule, found by name.

Scores are only comparable under the same rule, so a rule is chosen by its name and the name is written beside
every number. A rule is a function from annotations and predictions to accuracies, a file in `eval/scoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.data.questions import Annotation

DEFAULT_RULE = "official"

Scores = npt.NDArray[np.float64]
Rule = Callable[[Sequence[Annotation], Sequence[str]], Scores]

RULES: Registry[Rule] = Registry("scoring rule", "vqa_gs.eval.scoring")


class Memo(dict[str, str]):
    """Remembers what a function made of each text, for as long as one scoring lasts."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, text: str) -> str:
        made = self[text] = self.function(text)
        return made


def score_questions(annotations: Sequence[Annotation], predictions: Sequence[str], rule: str = DEFAULT_RULE) -> Scores:
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
    score = RULES[rule]
    if len(annotations) != len(predictions):
        raise UsageError(
            f"{len(predictions)} predictions for {len(annotations)} questions",
            mend="give one for each question",
        )
    return score(annotations, predictions)
