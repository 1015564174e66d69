"""What became of a run of a study: its cost in its folder, or why it failed beside it."""

from __future__ import annotations

import os
from pathlib import Path

from vqa_gs.common.files import write_json
from vqa_gs.study.worker import JobResult

COST_FILE = "cost.json"


def failure_file(folder: Path) -> Path:
    """Returns where it is recorded that a run failed: beside its folder, which holds nothing but the run's own."""
    return folder.with_name(f"{folder.name}.failed.json")


def write_outcome(folder: Path, result: JobResult) -> None:
    """Records what a run that was done cost, or why it failed; of one that another process trains nothing."""
    where = {"node": os.environ.get("SLURMD_NODENAME") or os.uname().nodename, "seconds": result.seconds}
    if result.status == "done":
        peaks = {"peak_memory": result.peak_memory, "peak_device_memory": result.peak_device_memory}
        write_json(folder / COST_FILE, {**peaks, **where})
    elif result.status == "failed":
        write_json(failure_file(folder), {"error": result.error, **where})
