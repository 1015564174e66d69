"""What runs cost: measured on finished ones, else on a trial of a few steps; nothing is guessed."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.common.errors import VqaGsError
from vqa_gs.eval.run_files import load_curves
from vqa_gs.study.outcome import COST_FILE
from vqa_gs.study.plan import PlannedRun
from vqa_gs.study.pool import Worker, worker_environment
from vqa_gs.study.worker import Job
from vqa_gs.training.config import RunConfig

# The first steps of a process are slow: its memory is touched for the first time.
_WARM_UP = 2


class Cost(msgspec.Struct, frozen=True):
    """What a run takes.

    Attributes:
        seconds: of training and of looking at splits, at the most; None if it is not known.
        memory: bytes resident at the most, torch itself included; None if not known.
        device_memory: bytes allocated on the GPU at the most; None without one.
        source: how that is known.
    """

    seconds: float | None
    memory: int | None
    device_memory: int | None
    source: str


def trained_seconds(folder: Path) -> float | None:
    """Returns the time a run's epochs took, over all its interruptions; the tests after training are left out."""
    curves = load_curves(folder / "epochs.csv")
    return sum(seconds for _, seconds in curves.points("seconds")) if curves else None


def measured_cost(runs: Sequence[PlannedRun], source: str) -> Cost | None:
    """Returns the mean time and highest memory of those runs that are done, None if none is."""
    done = [run for run in runs if run.status == "done"]
    seconds = [found for run in done if (found := trained_seconds(run.folder)) is not None]
    if not seconds:
        return None
    peaks = [_read_peaks(run.folder / COST_FILE) for run in done]
    return Cost(
        statistics.fmean(seconds),
        max((memory for memory, _ in peaks), default=0) or None,
        max((device for _, device in peaks), default=0) or None,
        source,
    )


def _read_peaks(file: Path) -> tuple[int, int]:
    try:
        found: Any = msgspec.json.decode(file.read_bytes())
        return int(found["peak_memory"]), int(found["peak_device_memory"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return 0, 0


def signature(run: PlannedRun) -> str:
    """Returns what a run's cost depends on: runs of equal signatures cost the same."""
    settings = run.config.to_dict()
    for name in ("name", "seed", "scoring"):
        settings.pop(name)
    settings["data"] = {**settings["data"], "pairs": bool(settings["data"]["pairs"])}
    for name in ("max_pairs", "pair_kinds", "partners"):
        settings["data"].pop(name, None)
    for name, term in settings["objectives"].items():
        settings["objectives"][name] = {**term, "weight": term["weight"] != 0}
    for name in ("lr", "clip", "schedule", "log_every"):
        settings["training"].pop(name)
    return json.dumps(settings, sort_keys=True, default=str)


def estimate_costs(
    runs: Sequence[PlannedRun], everything: Sequence[PlannedRun], steps: int, logs: Path, say: Callable[[str], None]
) -> dict[tuple[str, str], Cost]:
    """Returns what a run of each arm takes.

    Args:
        runs: the runs in question.
        everything: all runs of the study, of which some may be done.
        steps: steps of a trial, where no finished run tells; 0: no trials.
        logs: folder for what trials print.
        say: told of each trial.

    Returns:
        By dataset and arm.
    """
    costs: dict[tuple[str, str], Cost] = {}
    tried: dict[str, Cost] = {}
    for run in runs:
        key = (run.dataset, run.arm.name)
        if key in costs:
            continue
        same = [other for other in everything if (other.dataset, other.arm.name) == key]
        cost = measured_cost(same, "finished runs")
        if cost is None:
            kind = signature(run)
            if kind not in tried:
                alike = [other for other in everything if signature(other) == kind]
                tried[kind] = measured_cost(alike, "finished runs of its kind") or _trial(run, steps, logs, say)
            cost = tried[kind]
        costs[key] = cost
    return costs


def _trial(run: PlannedRun, steps: int, logs: Path, say: Callable[[str], None]) -> Cost:
    """Trains a run's first steps, in a process and a folder of their own that are gone afterwards."""
    if steps < 1:
        return Cost(None, None, None, "not known")
    say(f"timing {steps} steps of {run.title}")
    settings = replace(run.config.training, epochs=1, max_steps=steps + _WARM_UP, log_every=1, checkpoint_every=0)
    config = replace(run.config, training=settings)
    worker = Worker(logs / "trial.log", worker_environment(0, 1, 0))
    folder = Path(tempfile.mkdtemp(prefix="vqa-gs-trial-"))
    try:
        result = worker.run(Job(config.to_dict(), str(folder / "run")))
        if result.status != "done":
            return Cost(None, None, None, f"not known: {result.error}")
        return Cost(
            _whole_time(run.config, folder / "run", result.seconds),
            result.peak_memory,
            result.peak_device_memory or None,
            f"a trial of {steps} steps",
        )
    except (VqaGsError, OSError, ValueError, KeyError) as error:
        return Cost(None, None, None, f"not known: {error}")
    finally:
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)


def _whole_time(config: RunConfig, trial: Path, wall: float) -> float:
    """Returns the time of a whole run from that of its trial: steps, a look at iid_val an epoch, and the rest once."""
    log = load_curves(trial / "log.csv")
    assert log is not None
    speeds = [speed for _, speed in log.points("questions_per_second") if speed > 0]
    record: Any = msgspec.json.decode((trial / "run.json").read_bytes())
    training = config.training
    pairs = training.pairs_per_batch if record["pairs"] else 0
    batch = min(training.batch_size, record["questions"]) + 2 * pairs
    step = batch / statistics.median(speeds[_WARM_UP:] or speeds)
    tried = sum(batch / speed for speed in speeds)
    epoch = trained_seconds(trial) or 0.0
    look = max(0.0, epoch - tried)
    total = training.epochs * math.ceil(record["questions"] / training.batch_size)
    total = min(total, training.max_steps) if training.max_steps else total
    epochs = math.ceil(total / math.ceil(record["questions"] / training.batch_size))
    return total * step + epochs * look + max(0.0, wall - epoch)
