"""Whether a run was selected on the test it is reported on."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.eval.runs import RunSummary, flatten, split_domain

_WHY = "its accuracy there holds the luck of the choice and is no test"
_PLACES = ("", "split", "on", "selected_on")


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
