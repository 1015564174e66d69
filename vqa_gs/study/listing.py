"""The runs of a study as a list in its folder, and what its files tell of each, without the study's own file."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from vqa_gs.cluster.records import Records
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import write_json
from vqa_gs.eval.run_files import load_curves
from vqa_gs.eval.suite_record import record_file
from vqa_gs.study.outcome import COST_FILE, failure_file
from vqa_gs.study.plan import StudyPlan

_FILE = "runs.json"
STATES = ("planned", "waiting", "running", "done", "failed")


class RunState(msgspec.Struct):
    """What the files tell of a run.

    Attributes:
        title: what to call it.
        state: one of `STATES`.
        node: where it was trained, or is.
        seconds: its epochs took so far.
        epoch: the last one it ended, None before.
        accuracy: in-domain after that, in percent.
        note: why it failed; since when nothing was heard of one that runs.
    """

    title: str
    state: str
    node: str = ""
    seconds: float | None = None
    epoch: int | None = None
    accuracy: float | None = None
    note: str = ""


def write_listing(plan: StudyPlan) -> None:
    """Writes which runs the study has."""
    listed = [{"title": run.title, "folder": _relative(run.folder, plan.out)} for run in plan.runs]
    for entry, run in zip(listed, plan.runs, strict=True):
        if run.suite is not None:
            entry["suite"] = run.suite.name
    write_json(plan.out / _FILE, listed)


def _relative(folder: Path, out: Path) -> str:
    return folder.relative_to(out).as_posix()


def run_states(out: Path) -> list[RunState]:
    """Returns what has become of each run of a study.

    Raises:
        UsageError: there is no study in the folder.
        DataError: its list of runs, or its record of submissions, is damaged.
    """
    file = out / _FILE
    try:
        found: Any = msgspec.json.decode(file.read_bytes())
        listed = [(str(entry["title"]), str(entry["folder"]), entry.get("suite")) for entry in found]
    except FileNotFoundError as error:
        raise UsageError(f"{out} is no study's folder", mend="name the --out of a `vqa-gs study` call") from error
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            "is no list of runs", file=file, mend="call `vqa-gs study` again, it is written anew"
        ) from error
    waiting = _waiting(out)
    return [_state(title, out / folder, folder in waiting, suite) for title, folder, suite in listed]


def _waiting(out: Path) -> set[str]:
    """Returns the folders of runs that were submitted, and whose task has not ended."""
    records = Records(out / "slurm")
    return {
        name
        for submission in records.submissions()
        if submission.kind == "runs" and not submission.cancelled
        for number, names in enumerate(submission.tasks)
        if records.task(submission.name, number).state in ("waiting", "running", "requeued")
        for name in names
    }


def _state(title: str, folder: Path, submitted: bool, suite: str | None) -> RunState:
    curves = load_curves(folder / "epochs.csv")
    points = curves.points("iid_val") if curves else []
    state = RunState(title, "waiting" if submitted else "planned")
    if curves and points:
        state.seconds = sum(seconds for _, seconds in curves.points("seconds"))
        state.epoch, state.accuracy = len(points), points[-1][1]
    trained = (folder / "done").exists()
    if trained and (suite is None or record_file(folder, suite).exists()):
        state.state, state.node = "done", str(_read(folder / COST_FILE).get("node", ""))
    elif owner := _owner(folder):
        state.state, state.node, state.note = "running", owner, _heard(folder)
    elif failed := _read(failure_file(folder)):
        state.state, state.node, state.note = "failed", str(failed.get("node", "")), str(failed.get("error", ""))
    elif trained:
        state.note = "trained; its suite is still to do"
    return state


def _read(file: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _owner(folder: Path) -> str:
    """Returns the machine whose process holds the run's lock, "" if none does.

    What a process leaves that was killed is a file without a lock. Whether another machine holds it cannot be asked
    everywhere: its word is taken for it.
    """
    file = folder / ".lock"
    try:
        with open(file, "rb") as lock:
            node = lock.read(200).decode("ascii", "replace").partition(" on ")[2].strip()
            if node == os.uname().nodename:
                with suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return ""
            return node
    except OSError:
        return ""


def _heard(folder: Path) -> str:
    times = [entry.stat().st_mtime for entry in folder.glob("*") if entry.is_file()]
    silent = time.time() - max(times, default=time.time())
    return f"nothing was written for {silent / 60:.0f} min" if silent > 600 else ""
