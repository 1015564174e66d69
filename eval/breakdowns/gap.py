"""In-domain accuracy beside out-of-distribution accuracy."""

from __future__ import annotations

from typing import Any

from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Scored
from vqa_gs.eval.metrics import by_group, overall

from vqa_gs.common.errors import UsageError


def _beside(inside: float | None, outside: float) -> dict[str, float | None]:
    return {"in_domain": inside, "ood": outside, "gap": None if inside is None else inside - outside}


@BREAKDOWNS.register("gap")
def gap(scored: Scored) -> dict[str, Any] | None:
    """Accuracy on the in-domain split, on this one, and the first minus the second, overall and by type.

    Raises:
        UsageError: the in-domain metrics were computed under another rule.
    """
    metrics = scored.evidence.in_domain
    if metrics is None:
        return None
    if metrics.scoring != scored.rule:
        raise UsageError(
            f"the in-domain metrics are under the rule {metrics.scoring!r}, these under {scored.rule!r}",
            mend="score both under one rule",
        )
    answer_types = [annotation.answer_type for annotation in scored.annotations]
    parts = (
        ("per_answer_type", answer_types, metrics.per_answer_type),
        ("per_question_type", scored.question_types, metrics.per_question_type),
    )
    section: dict[str, Any] = {"split": metrics.split, "overall": _beside(metrics.overall, overall(scored.scores))}
    for key, labels, inside in parts:
        section[key] = {
            name: _beside(inside.get(name), mean.accuracy) for name, mean in by_group(scored.scores, labels).items()
        }
    return section
