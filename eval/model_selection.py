"""Choosing among results by their accuracy: fine on a validation split, refused on a test split, told of for good."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from vqa_gs.eval.runs import ModelSelection, RunSummary, SplitMetrics, flatten, split_domain

from vqa_gs.common.errors import UsageError

_WHY = "its accuracy there holds the luck of the choice and is no test"
_PLACES = ("", "split", "on", "selected_on")
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


def keep_best(scored: Mapping[str, SplitMetrics], is_test: bool) -> SplitMetrics:
    """Returns the metrics with the highest overall accuracy, of equal ones the first, with how they were chosen.

    Args:
        scored: the metrics by results file.
        is_test: whether the split is a test split; the outcome says so for good.
    """
    overall = {name: metrics.overall or 0.0 for name, metrics in scored.items()}
    kept = max(overall, key=lambda name: overall[name])
    note = f"the best of {len(scored)} results was kept by its accuracy on this very test split"
    return msgspec.structs.replace(
        scored[kept],
        selection=ModelSelection(kept=kept, candidates=overall, on_test=is_test),
        notes=[note] * is_test + scored[kept].notes,
    )


def _recorded(run: RunSummary) -> str | None:
    """Returns the OOD split a run's record says it was selected on, if it says so."""
    for key, value in flatten(run.provenance.get("selection", {})).items():
        leaf = key.rsplit(".", 1)[-1]
        if isinstance(value, str) and leaf in _PLACES and split_domain(value) == "ood":
            return value
    return None


def selection_warnings(runs: Sequence[RunSummary]) -> list[str]:
    """Returns a sentence for each choice that was made on a test: of a run's epoch, or among result files."""
    found = []
    for run in runs:
        if split := _recorded(run):
            found.append(f"Run “{run.name}” was selected on {split}: {_WHY}.")
        for split, metrics in run.metrics.items():
            if metrics.selection and metrics.selection.on_test:
                count = len(metrics.selection.candidates)
                kept = f"of {count} results the best" if count else "the epoch that was kept was chosen"
                found.append(f"Run “{run.name}”: {kept} on test questions of {split}: {_WHY}.")
    return found
