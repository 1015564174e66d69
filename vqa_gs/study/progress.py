"""What a running study shows: runs done, running, time left."""

from __future__ import annotations

import time
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vqa_gs.common.phases import phase
from vqa_gs.eval.run_files import load_run
from vqa_gs.study.plan import PlannedRun
from vqa_gs.study.worker import JobResult


def duration(seconds: float) -> str:
    """Returns a time as ``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class StudyBar:
    """A bar over all runs with the names of those running, in a log a line a minute; a line for each that ended.

    Args:
        total: runs in question.
        done: those done before.
        workers: runs at once.
        console: where it is shown.
    """

    def __init__(self, total: int, done: int, workers: int, console: Console) -> None:
        self._total, self._done, self._workers = total, done, workers
        self._running: dict[str, float] = {}
        self._took: list[float] = []
        columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        note = TextColumn("{task.fields[note]}", markup=False)
        self._bars = Progress(*columns, note, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("", total=total, completed=done, note="")

    def __enter__(self) -> StudyBar:
        with ExitStack() as stack:
            self._far = stack.enter_context(phase("runs", self._total, "done"))
            self._far(self._done)
            self._far.has_bar = not self._bars.disable
            stack.enter_context(self._bars)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def started(self, run: PlannedRun) -> None:
        """Shows a run as running."""
        self._running[run.title] = time.perf_counter()
        self._note()

    def ended(self, run: PlannedRun, result: JobResult, seconds: float) -> None:
        """Counts a run and prints a line about it."""
        self._running.pop(run.title, None)
        self._done += 1
        self._far(1)
        self._took.append(seconds)
        self._bars.update(self._task, completed=self._done)
        self._note()
        what = _scores(run) if result.status == "done" else f"{result.status}: {result.error}"
        left = f", about {duration(self._left())} left" if self._done < self._total else ""
        line = f"{self._done}/{self._total} {run.title}: {what}, {duration(seconds)}{left}"
        # In a log a line is a line; a terminal breaks it between words.
        whole = not self._bars.console.is_terminal
        self._bars.console.print(line, highlight=False, markup=False, soft_wrap=whole)

    def _left(self) -> float:
        """The mean time of a run so far, for those waiting and the rest of those running."""
        mean = sum(self._took) / len(self._took)
        now = time.perf_counter()
        running = sum(max(0.0, mean - (now - since)) for since in self._running.values())
        waiting = self._total - self._done - len(self._running)
        return (running + mean * waiting) / self._workers

    def _note(self) -> None:
        left = f", about {duration(self._left())} left" if self._took and self._done < self._total else ""
        self._far.note = f"running: {'; '.join(self._running) or 'none'}{left}"
        self._bars.update(self._task, note=self._far.note)


def _scores(run: PlannedRun) -> str:
    metrics = load_run(run.folder).metrics.values()
    return ", ".join(
        f"{split.split} {split.overall:.2f} % ({split.scoring})" for split in metrics if split.overall is not None
    )
