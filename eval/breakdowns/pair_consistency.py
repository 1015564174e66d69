"""What becomes of the two ends of a pair: complementary questions, edited images, any table of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Pair, Scored
from vqa_gs.eval.metrics import fully_right

from vqa_gs.data.questions import QuestionId


@BREAKDOWNS.register("pair_consistency")
def pair_consistency(scored: Scored) -> dict[str, Any] | None:
    """Of each list of pairs: both ends fully right, one, none, and how often both got the same answer.

    The ends of a pair have different true answers, so the same answer to both is wrong for one of them at least.
    A question-only model answers every pair of one question alike.
    """
    if not scored.evidence.pairs:
        return None
    right = fully_right(scored.scores)
    return {name: _of_list(scored, pairs, right) for name, pairs in scored.evidence.pairs.items()}


def _of_list(scored: Scored, pairs: Any, right: Any) -> dict[str, Any]:
    def known(pair: Pair) -> bool:
        return all(question_id in scored.row_of for question_id in pair)

    def row(question_id: QuestionId) -> int:
        return scored.row_of[question_id]

    rows = np.array([(row(a), row(b)) for a, b in pairs if known((a, b))], np.int64).reshape(-1, 2)
    answers = scored.answers
    same = sum(answers[a] is not None and answers[a] == answers[b] for a, b in rows.tolist())
    count, ends = len(rows), right[rows].sum(axis=1)

    def percent(number: int) -> float | None:
        return 100 * number / count if count else None

    return {
        "pairs": count,
        "outside_the_set": len(pairs) - count,
        "both_right": percent(int((ends == 2).sum())),
        "one_right": percent(int((ends == 1).sum())),
        "none_right": percent(int((ends == 0).sum())),
        "same_answer": percent(same),
    }
