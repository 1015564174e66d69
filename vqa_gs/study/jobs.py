"""Runs of a study as a job of a cluster does them: one or several, on one node or, by ``torchrun``, on several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from vqa_gs.cluster.job import Job as ClusterJob
from vqa_gs.cluster.job import LostRank, is_first
from vqa_gs.common.errors import VqaGsError
from vqa_gs.common.files import write_json
from vqa_gs.study.outcome import write_outcome
from vqa_gs.study.tested import is_done
from vqa_gs.study.worker import Job, JobResult, train_job

# How long a node waits for the others, how long processes may take to write a checkpoint, how often it is looked.
_MEETING, _ENDING, _LOOK = 600, 60.0, 0.5

# What torch says where another process of a training does not answer any more.
_CUT_OFF = ("gloo", "NCCL", "TCPStore", "Connection closed", "Connection reset")


class TrainRuns(ClusterJob):
    """Trains runs, one after the other; those that fail are put on record and leave the others alone.

    Args:
        runs: what `Job` holds, as plain containers.
        titles: what to call them.
        nodes: on how many nodes each is trained.
        per_node: how many processes of each train on a node.
    """

    def __init__(self, runs: Sequence[Job], titles: Sequence[str], nodes: int = 1, per_node: int = 1) -> None:
        self.runs = [msgspec.to_builtins(run) for run in runs]
        self.titles, self.nodes, self.per_node = list(titles), nodes, per_node

    def work(self) -> None:
        """Trains those that are not done.

        Raises:
            VqaGsError: some failed.
            LostRank: a process of a run was lost.
        """
        problems = []
        for number, (given, title) in enumerate(zip(self.runs, self.titles, strict=True)):
            run = msgspec.convert(given, Job)
            folder = Path(run.folder)
            if is_done(folder, run.read_suite()):
                continue
            if self.nodes * self.per_node > 1:
                result = _train_together(run, self.record.with_suffix(""), number, self.nodes, self.per_node)
            else:
                result = train_job(run)
            if not is_first():
                continue
            write_outcome(folder, result)
            if result.status != "done":
                problems.append(f"{title}: {result.error}")
        if problems:
            more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
            raise VqaGsError(f"{problems[0]}{more}")


def _train_together(run: Job, beside: Path, number: int, nodes: int, per_node: int) -> JobResult:
    """Starts torchrun's agent on this node, as each node's task does, and returns what became of the run.

    Whoever is first of the tasks says in the shared folder where they meet.
    """
    again = f"{number}.{os.environ.get('SLURM_RESTART_COUNT', '0')}"
    meeting, said = (Path(f"{beside}.{again}.{what}.json") for what in ("meeting", "result"))
    host = _address()
    if is_first():
        said.unlink(missing_ok=True)
        write_json(meeting, {"endpoint": f"{host}:{_free_port()}"})
    until = time.monotonic() + _MEETING
    while not meeting.exists():
        if time.monotonic() > until:
            raise LostRank(f"the first node has not said in {meeting} where to meet")
        time.sleep(_LOOK)
    endpoint = str(msgspec.json.decode(meeting.read_bytes())["endpoint"])
    job = Path(f"{beside}.{again}.job-{os.environ.get('SLURM_NODEID', '0')}.json")
    write_json(job, msgspec.to_builtins(run))
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={per_node}"]
    torchrun += ["--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={beside.name}.{again}"]
    # Names of nodes need not be known to themselves; who keeps the meeting is told, not guessed from them.
    torchrun += [f"--rdzv-conf=is_host={int(is_first())},join_timeout={_MEETING}", f"--local-addr={host}"]
    torchrun += ["--max-restarts=0", "-m", "vqa_gs.study.worker", str(job), str(said)]
    # Slurm sends its signals to all processes of a task. The agent knows SIGTERM alone, which is passed on to it.
    process = subprocess.Popen(torchrun, preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN))
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING)
        if process.poll() is None:
            process.kill()
            process.wait()
    result = msgspec.json.decode(said.read_bytes(), type=JobResult) if said.exists() else None
    if is_first() and (code if result is None else result.crashed and any(word in result.error for word in _CUT_OFF)):
        raise LostRank(f"a process of {run.folder} was lost; it goes on from its last checkpoint")
    return result or JobResult("done")


def _address() -> str:
    """Returns this machine's address as the others of the cluster know it."""
    name = socket.gethostname()
    try:
        return socket.gethostbyname(name)
    except OSError:
        return name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
