"""The accuracy of each question under a named rule, one rule a file.

Scores are only comparable under the same rule, so a rule is chosen by its name and the name is written beside
every number. A rule is a function from annotations and predictions to accuracies; `RULES` finds it by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.scoring._rule import RULES, Rule, Scores

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation

__all__ = ["DEFAULT_RULE", "RULES", "Rule", "Scores", "score_questions"]

DEFAULT_RULE = "official"


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
