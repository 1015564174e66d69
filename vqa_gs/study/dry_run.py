"""The plan of a study on the terminal: its arms, in what they differ, what is done, what is left will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vqa_gs.common.terminal import page
from vqa_gs.eval.suite.loaded import Reader
from vqa_gs.study.checks import require_data, require_ours, require_suites
from vqa_gs.study.costs import Cost, estimate_costs
from vqa_gs.study.extras import require_study_extras
from vqa_gs.study.plan import PlannedRun, StudyPlan
from vqa_gs.study.prepare import outdated
from vqa_gs.study.progress import duration
from vqa_gs.study.spec import Settings

# Columns that the framed table wants.
_WIDE = 110


def _gigabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f} GB"


def print_plan(plan: StudyPlan, runs: Sequence[PlannedRun], workers: int, steps: int, console: Console) -> None:
    """Prints the plan; nothing is trained but, in a folder that is removed again, the steps of trials.

    Args:
        plan: the study.
        runs: the runs in question.
        workers: how many at once.
        steps: steps of a trial of each kind of arm that no finished run tells of; 0: no trials.
        console: where progress is shown; the plan goes to standard output.

    Raises:
        UsageError: a package is missing, or settings or data of a run changed since it was trained.
    """
    told = page(140)
    waiting = outdated(plan.spec.prepare, plan.unneeded(runs))
    require_study_extras(runs, waiting, plan.spec)
    for step in waiting:
        told.print(f"to prepare: vqa-gs {' '.join(step.words)}", highlight=False, markup=False, soft_wrap=True)
    if not waiting:
        require_data(runs, plan.spec)
        require_suites(runs)
        require_ours(runs, plan.spec)
    elif steps:
        told.print("no trials: data are still to be prepared", highlight=False)
    logs = plan.out / "logs"
    costs = estimate_costs(
        runs, plan.runs, 0 if waiting else steps, logs, lambda line: console.print(line, markup=False, highlight=False)
    )
    for line in _suites(runs, as_yet=bool(waiting)):
        told.print(line, highlight=False, markup=False, soft_wrap=True)
    told.print(_table(plan, runs, costs, told.width < _WIDE))
    for line in _totals(runs, costs, workers):
        told.print(line, highlight=False, markup=False, soft_wrap=True)


def _suites(runs: Sequence[PlannedRun], as_yet: bool) -> list[str]:
    """Returns what the suite of some runs tests, and what is absent; where data lie apart, for each place."""
    lines = []
    for suite in {run.suite.folder: run.suite for run in runs if run.suite}.values():
        there = Reader(suite).tests_there()
        absent = [name for name in suite.spec.tests if name not in there]
        lines.append(
            f"suite {suite.spec.title} in {suite.folder}: every run is tested on {', '.join(there) or 'nothing'}"
        )
        if absent:
            lines.append(f"absent{' as yet' if as_yet else ''}: {', '.join(absent)}")
    return lines


def _table(plan: StudyPlan, runs: Sequence[PlannedRun], costs: dict[tuple[str, str], Cost], narrow: bool) -> Table:
    groups: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault((run.dataset, run.arm.name), []).append(run)
    named = any(dataset for dataset, _ in groups)
    # On a narrow terminal the settings need the room that a frame takes.
    table = Table(title=Text(plan.spec.title or plan.spec.file.stem), box=None if narrow else HEAVY_HEAD)
    widest = 14 if narrow else 24
    labels = "worlds/seeds" if plan.spec.worlds else "seeds"
    for name in [*(["dataset"] if named else []), "arm", "against", labels, "state"]:
        table.add_column(name, overflow="fold", max_width=widest)
    table.add_column("differs from the base in", overflow="fold", ratio=1)
    table.add_column("a run", justify="right", max_width=widest)
    table.add_column("memory", justify="right", max_width=12)
    for (dataset, _), members in groups.items():
        arm = members[0].arm
        cost = costs[dataset, arm.name]
        states = Counter(run.status for run in members)
        table.add_row(
            *([Text(dataset)] if named else []),
            Text(arm.name),
            Text("\n".join(arm.against) or "–"),
            Text(", ".join(str(run.label) for run in members)),
            Text(", ".join(f"{count} {state}" for state, count in states.items())),
            Text("\n".join(_differences(arm.settings, plan.out)) or "nothing"),
            Text(cost.source if cost.seconds is None else f"{duration(cost.seconds)} ({cost.source})"),
            _gigabytes(cost.memory) + (f" + GPU {_gigabytes(cost.device_memory)}" if cost.device_memory else ""),
        )
    return table


def _differences(settings: Settings, out: Path, prefix: str = "") -> list[str]:
    """Returns the leaves of nested settings, a line each; files in the study's folder without the folder."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            lines += _differences(value, out, f"{prefix}{key}.")
            continue
        values = value if isinstance(value, list) else [value]
        shown = ", ".join(str(one).removeprefix(f"{out}/") for one in values) or "none"
        lines.append(f"{prefix.removeprefix('objectives.')}{key}: {shown}")
    return lines


def _totals(runs: Sequence[PlannedRun], costs: dict[tuple[str, str], Cost], workers: int) -> list[str]:
    left = [run for run in runs if run.status != "done"]
    known = [costs[run.dataset, run.arm.name] for run in left]
    times = [cost.seconds for cost in known if cost.seconds is not None]
    lines = [f"{len(runs)} runs, {len(runs) - len(left)} done, {len(left)} left"]
    if not left:
        return lines
    if len(times) == len(left):
        at_once = f", {duration(sum(times) / workers)} with {workers} workers if they do not slow each other down"
        lines.append(f"time left: at most {duration(sum(times))} one by one{at_once if workers > 1 else ''}")
    else:
        lines.append(f"time left: not known for {len(left) - len(times)} of {len(left)} runs")
    memory = max((cost.memory for cost in known if cost.memory is not None), default=None)
    if memory is not None:
        lines.append(
            f"memory: about {_gigabytes(memory * workers)} ({workers} x the peak of a process, torch included)"
        )
    return lines
