"""Running a study: what is left of its runs, several at once, what failed put on record."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vqa_gs.common.errors import VqaGsError
from vqa_gs.study.checks import refuse_linked, require_data, require_ours, require_suites
from vqa_gs.study.outcome import write_outcome
from vqa_gs.study.plan import PlannedRun, StudyPlan
from vqa_gs.study.pool import run_all
from vqa_gs.study.prepare import prepare
from vqa_gs.study.progress import StudyBar
from vqa_gs.study.worker import JobResult


def prepare_study(plan: StudyPlan, runs: Sequence[PlannedRun], console: Console) -> None:
    """Makes what the runs need, and refuses those that changed since they were trained.

    Raises:
        UsageError: a step failed, a file is missing, or settings or data of a run changed.
    """
    refuse_linked(plan.out, runs)
    spec, left = plan.spec, plan.unneeded(runs)
    prepare(spec.prepare, plan.out, spec.file, lambda line: _say(console, f"prepare: {line}"), left)
    require_data(runs, plan.spec)
    require_suites(runs)
    require_ours(runs, plan.spec)


def run_study(plan: StudyPlan, runs: Sequence[PlannedRun], workers: int, console: Console) -> None:
    """Trains those of the runs that are not done; a run that failed is recorded, and tried again by a later call.

    Args:
        plan: the study.
        runs: the runs in question, prepared by `prepare_study`.
        workers: how many at once.
        console: where progress is shown.

    Raises:
        VqaGsError: a run failed, or is being trained by another process; all others are done by then.
    """
    left = [run for run in runs if run.status != "done"]
    bar = StudyBar(len(runs), len(runs) - len(left), max(1, min(workers, len(left) or 1)), console)
    outcomes: Counter[str] = Counter()
    first: dict[str, str] = {}
    began: dict[Path, float] = {}

    def started(run: PlannedRun) -> None:
        run.failure_file.unlink(missing_ok=True)
        began[run.folder] = time.perf_counter()
        bar.started(run)

    def ended(run: PlannedRun, result: JobResult) -> None:
        outcomes[result.status] += 1
        write_outcome(run.folder, result)
        if result.status != "done":
            first.setdefault(result.status, f"{run.title}: {result.error}")
        bar.ended(run, result, time.perf_counter() - began[run.folder])

    with bar:
        run_all(left, lambda run: run.job(run.folder), workers, plan.out / "logs", started, ended, _devices())
    for status, what in (("failed", "failed"), ("busy", "are being trained by another process")):
        if outcomes[status]:
            raise VqaGsError(
                f"{outcomes[status]} of {len(runs)} runs {what}; the first: {first[status]}",
                mend="the same command tries them again, finished runs are left alone",
            )


def _devices() -> int:
    import torch

    return torch.cuda.device_count()


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    sys.stderr.flush()
