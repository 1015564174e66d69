"""`official-pre2021`: the official script before 2021-03-11, of which most published code carries a copy."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.leave_one_out import leave_one_out
from vqa_gs.eval.rules import RULES, Memo, Scores

from vqa_gs.data.normalize import normalize_answer, process_punctuation, strip_answer
from vqa_gs.data.questions import Annotation


@RULES.register("official-pre2021")
def official_pre2021(annotations: Sequence[Annotation], predictions: Sequence[str]) -> Scores:
    """The VQA accuracy of rubi, block, openvqa, mcan-vqa, LAVIS and others.

    The prediction is always stripped and normalised. The answers are compared as written if they all agree,
    else after the punctuation step alone: never stripped, and neither digits nor articles are touched. So ten
    times "yes" against "Yes" scores 1, nine times "two" and once "2" against "two" scores .3, not 1.

    Raises:
        DataError: a question has fewer than two answers, or an answer has no answer_id.
    """
    as_written = Memo(lambda text: text)
    without_marks = Memo(process_punctuation)
    normalized = Memo(lambda text: normalize_answer(strip_answer(text)))

    def comparison(texts: list[str]) -> tuple[Memo, Memo]:
        agree = texts.count(texts[0]) == len(texts)
        return (as_written if agree else without_marks), normalized

    return leave_one_out(annotations, predictions, comparison)
