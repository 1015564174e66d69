"""VQA-CE (Dancette et al., ICCV 2021): questions that shortcuts of the training set answer wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored

from vqa_gs.common.errors import UsageError


@BREAKDOWNS.register("vqa_ce")
def vqa_ce(scored: Scored) -> dict[str, Any] | None:
    """Accuracy on counterexamples, on hard questions (no rule matches), and on the rest, the easy ones.

    Raises:
        UsageError: a question is on both lists, or none of the set is on either.
    """
    evidence = scored.evidence
    if evidence.counterexamples is None or evidence.hard is None:
        return None
    inside = {}
    for name, listed in (("counterexamples", evidence.counterexamples), ("hard", evidence.hard)):
        rows = [scored.row_of[question_id] for question_id in listed if question_id in scored.row_of]
        inside[name] = np.zeros(len(scored.scores), np.bool_)
        inside[name][rows] = True
    if (inside["counterexamples"] & inside["hard"]).any():
        row = int(np.argmax(inside["counterexamples"] & inside["hard"]))
        raise UsageError(
            f"question {scored.questions.question_ids[row]!r} is both a counterexample and hard",
            mend="give VQA-CE's own two lists",
        )
    if not (inside["counterexamples"] | inside["hard"]).any():
        raise UsageError(
            "none of the questions is on VQA-CE's lists", mend="the lists are of VQA v2's validation questions"
        )
    inside["easy"] = ~(inside["counterexamples"] | inside["hard"])
    return {
        name: {"accuracy": scored.accuracy(inside[name]), "questions": int(inside[name].sum())}
        for name in ("counterexamples", "easy", "hard")
    }
