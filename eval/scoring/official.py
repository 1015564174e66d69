"""`official`: the script as it stands, GT-Vision-Lab/VQA `vqaEval.py` at a013f00 (2021-03-11)."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.leave_one_out import leave_one_out
from vqa_gs.eval.rules import RULES, Memo, Scores

from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation


@RULES.register("official")
def official(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """The official VQA accuracy.

    Answers and prediction lose line breaks, tabs and spaces around them. If the annotators then disagree, all
    are normalised; **if they all agree, nothing is**, so that ten times "yes" against "Yes" scores 0. Each
    annotator in turn is left out and the prediction gets a third for each match among the others, at most 1;
    the mean over the annotators is the accuracy. With ten answers: 0, .3, .6, .9, and 1 from four matches on.
    Other numbers of answers follow the same formula.

    Raises:
        DataError: a question has fewer than two answers, or an answer has no answer_id.
    """
    stripped = Memo(strip_answer)
    normalized = Memo(lambda text: normalize_answer(strip_answer(text)))

    def comparison(texts: list[str]) -> tuple[Memo, Memo]:
        first = stripped[texts[0]]
        for text in texts:
            if stripped[text] != first:
                return normalized, normalized
        return stripped, stripped

    return leave_one_out(annotations, predictions, comparison)
