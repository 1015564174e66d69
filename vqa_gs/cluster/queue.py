"""Slurm's queue: submitting to it through submitit, asking it, taking jobs out of it."""

from __future__ import annotations

import getpass
import os
import secrets
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

from vqa_gs.cluster.job import Job
from vqa_gs.cluster.records import Records, Submission
from vqa_gs.cluster.settings import SlurmSettings
from vqa_gs.common.errors import UsageError

_PATIENCE = 60
# What a job must not take over from one that submits it, or from a training that does.
_OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "TORCHELASTIC_")
_OF_A_RANK = frozenset(["MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"])
# Slurm's words for a job that is over; it remembers some of them for minutes.
_OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
_OVER |= {"PREEMPTED", "REVOKED", "TIMEOUT"}


def submit(
    records: Records,
    kind: str,
    jobs: Sequence[Job],
    names: Sequence[Sequence[str]],
    settings: SlurmSettings,
    after: Sequence[str] = (),
    one_node: bool = False,
) -> Submission:
    """Submits a job, or several as an array.

    It is recorded before Slurm is told of it: whatever happens in between, `alive` knows it by its name.

    Args:
        records: where it is recorded.
        kind: see `Submission`.
        jobs: what each task does.
        names: what each is about.
        settings: what each asks for.
        after: what it waits for, as ``afterok:12``.
        one_node: one node without a GPU does.

    Returns:
        What was submitted.

    Raises:
        UsageError: Slurm would not, or is not there.
    """
    executor_of = _executor()
    submission = Submission(f"vqa-gs-{kind}-{secrets.token_hex(4)}", kind, [list(some) for some in names], time.time())
    for number, job in enumerate(jobs):
        job.record, job.requeues = records.task_file(submission.name, number), settings.requeues
    before = records.submissions()
    records.write([*before, submission])
    try:
        executor = executor_of(records.logs, settings.requeues)
        executor.update_parameters(**settings.parameters(submission.name, after, one_node))
        # What sbatch says is told below.
        with _clean_environment(), redirect_stderr(StringIO()), executor.batch():
            found = [executor.submit(job) for job in jobs]
        submission.job, _, number_in_array = str(found[0].job_id).partition("_")
        submission.array = bool(number_in_array)
    except Exception as error:  # submitit raises several types, with what sbatch said
        records.write(before)
        said = [line.partition("error: ")[2] for line in str(error).splitlines() if "error: " in line]
        why = "; ".join(dict.fromkeys(said)) or " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"Slurm did not take the job: {why}", mend="look at the options --slurm.*") from error
    records.write([*before, submission])
    return submission


def alive(submissions: Collection[Submission]) -> dict[str, dict[int, str]]:
    """Asks Slurm which tasks are waiting or running.

    Returns:
        By the submission's name, the number of the task and why it waits in Slurm's word, "" where it does not.

    Raises:
        UsageError: Slurm cannot be asked.
    """
    wanted = {submission.name for submission in submissions}
    if not wanted:
        return {}
    found: dict[str, dict[int, str]] = {}
    for line in _said("squeue", "-h", "-a", "-r", "-t", "all", "-u", _user(), "-o", "%i|%T|%j|%r").splitlines():
        job, state, name, why = line.split("|", 3)
        if name in wanted and state not in _OVER:
            number = job.partition("_")[2]
            found.setdefault(name, {})[int(number) if number.isdecimal() else 0] = why if state == "PENDING" else ""
    return found


def cancel(submissions: Collection[Submission]) -> int:
    """Takes out of the queue what waits, and ends what runs, which writes a checkpoint first.

    Returns:
        How many tasks were waiting or running.

    Raises:
        UsageError: Slurm cannot be asked.
    """
    left = alive(submissions)
    if left:
        # Those that wait first: none of them begins when one that runs has ended.
        for states in (["--state=PENDING"], []):
            for name in left:
                _said("scancel", "-u", _user(), *states, f"--name={name}")
    return sum(map(len, left.values()))


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no {words[0]} here", mend="call it on a machine that jobs are submitted from"
        ) from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise UsageError(f"{words[0]} failed: {lines[-1] if lines else f'code {error.returncode}'}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{words[0]} does not answer: {error}", mend="call it again later") from error
    return done.stdout


def _user() -> str:
    return getpass.getuser()


def _executor() -> Any:
    """Returns the class of submitit's executor, imported here: who submits nothing needs no submitit."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise UsageError("jobs are submitted by the package submitit", mend="pip install submitit") from error
    if SlurmExecutor.affinity() < 0:
        raise UsageError("there is no Slurm here", mend="call it on a machine that jobs are submitted from")
    return SlurmExecutor


@contextmanager
def _clean_environment() -> Iterator[None]:
    """A block whose environment, which jobs take over, is no job's."""
    before = dict(os.environ)
    for name in before:
        if (name.startswith(_OF_A_JOB) and name != "SLURM_CONF") or name in _OF_A_RANK:
            del os.environ[name]
    os.environ["PYTHONSAFEPATH"] = "1"  # nothing is imported that happens to lie in the folder it is called in
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
