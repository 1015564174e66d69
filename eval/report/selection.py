"""Whether a run was selected on the test it is reported on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eval.runs import RunSummary, flatten, split_domain

# Set where a user insisted on choosing a checkpoint by its test accuracy.
FLAG = "test_selection"
_PLACES = ("", "split", "on", "selected_on")


def _split_selected_on(run: RunSummary) -> str | None:
    """Returns the OOD split a run's record says it was selected on, if it says so."""
    for key, value in flatten(run.provenance.get("selection", {})).items():
        leaf = key.rsplit(".", 1)[-1]
        if isinstance(value, str) and leaf in _PLACES and split_domain(value) == "ood":
            return value
    return None


def _flags(run: RunSummary) -> Iterator[tuple[str | None, Any]]:
    """Yields the marks a selection guard left in the run's record and metrics, with the split if it is known."""
    for key, value in flatten(run.provenance).items():
        parts = key.split(".")
        if FLAG in parts and parts[-1] in (FLAG, *_PLACES):
            yield None, value
    for split, metrics in run.metrics.items():
        yield split, metrics.test_selection


def selection_warnings(runs: Sequence[RunSummary]) -> list[str]:
    """Returns a sentence for each run that was selected on a test."""
    found = []
    for run in runs:
        split = _split_selected_on(run)
        flagged = [(named or (value if isinstance(value, str) else None)) for named, value in _flags(run) if value]
        if split or flagged:
            where = split or next((name for name in flagged if name), None) or "the test"
            found.append(
                f"Run “{run.name}” was selected on {where}: its accuracy there is the best of several tries, no test."
            )
    return found
