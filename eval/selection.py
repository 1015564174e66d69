"""Choosing among results by their accuracy: fine on a validation split, refused on a test split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqa_gs.common.errors import UsageError

_TEST_NAME = re.compile(r"(^|[^a-z])(ood|test)", re.IGNORECASE)


def names_a_test(split: str | None, questions: str) -> bool:
    """Says whether a split's name, or without one its questions file's, marks it as a test split.

    "ood_test", "test-dev2015", "vqacp_v2_test_questions.json" do; "iid_val" and "latest" do not.
    """
    return bool(_TEST_NAME.search(Path(questions).name if split is None else split))


def require_selectable(is_test: bool, candidates: Sequence[str], acknowledged: bool) -> None:
    """Refuses to choose on a test split, before anything is scored there.

    Raises:
        UsageError: the split is a test split and this was not acknowledged.
    """
    if is_test and not acknowledged:
        raise UsageError(
            f"keeping the best of {len(candidates)} results on a test split reports the luck of the choice",
            mend="choose on a validation split, or give --i-know-this-is-test-selection, which the metrics will say",
        )


def keep_best(scored: Mapping[str, Mapping[str, Any]], is_test: bool) -> dict[str, Any]:
    """Returns the metrics with the highest overall accuracy, of equal ones the first, with how they were chosen.

    Args:
        scored: the content of a metrics file by results file.
        is_test: whether the split is a test split; the outcome says so for good.
    """
    kept = max(scored, key=lambda name: scored[name]["overall"])
    selection = {
        "kept": kept,
        "candidates": {name: metrics["overall"] for name, metrics in scored.items()},
        "on_test": is_test,
    }
    metrics = {**scored[kept], "selection": selection}
    if is_test:
        note = f"the best of {len(scored)} results was kept by its accuracy on this very test split"
        metrics["notes"] = [note, *metrics.get("notes", [])]
    return metrics
