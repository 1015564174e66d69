"""GQA's own table: binary and open questions, structural and semantic types."""

from __future__ import annotations

from typing import Any

from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored
from vqa_gs.eval.metrics import by_group


@BREAKDOWNS.register("gqa")
def gqa(scored: Scored) -> dict[str, Any] | None:
    """Accuracy on binary and open questions and by semantic type, as GQA's evaluation prints it.

    Structural types are the question types of a GQA set, so they stand in ``per_question_type`` already.
    """
    semantic = scored.evidence.semantic_types
    if semantic is None:
        return None
    labels = [semantic[question_id] for question_id in scored.questions.question_ids]
    answer_types = by_group(scored.scores, [annotation.answer_type for annotation in scored.annotations])
    return {
        "binary": answer_types["binary"].accuracy if "binary" in answer_types else None,
        "open": answer_types["open"].accuracy if "open" in answer_types else None,
        "per_semantic_type": {
            name: {"accuracy": mean.accuracy, "questions": mean.questions}
            for name, mean in by_group(scored.scores, labels).items()
        },
    }
