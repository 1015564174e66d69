"""What commands share that submit jobs to a cluster: options, and a job that is a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqa_gs.cli.parsing import Parser, require_count
from vqa_gs.cluster.job import Job
from vqa_gs.cluster.settings import SlurmSettings
from vqa_gs.common.errors import UsageError

_PLACES = ("local", "slurm")
# Those of `--slurm.*` that `--help` explains.
COMMON = ("slurm.partition", "slurm.time", "slurm.gpus")


def add_cluster_options(parser: Parser, what: str, trains: bool = False) -> None:
    """Adds `--on` and `--slurm.*`.

    Args:
        parser: of the command.
        what: what one task of an array does, in words.
        trains: it trains, which several nodes can do together.
    """
    add, default = parser.add_argument, SlurmSettings()
    add("--on", choices=list(_PLACES), default="local", help=f"or as jobs, {what} a task")
    add("--detach", action="store_true", help="with slurm: submit, and do not wait")
    add("--slurm.partition", type=str, default=None, help="where jobs wait (default: the cluster's)")
    add("--slurm.time", type=str, default=default.time, help="a job's limit, as 90m, 8h, 2d; at it it waits again")
    add("--slurm.gpus", type=int, default=default.gpus, help="GPUs of a task on each node")
    add("--slurm.cpus", type=int, default=None, help="cores of a task on each node (default: the cluster's)")
    add("--slurm.memory", type=str, default=None, help="memory on each node, as 16G (default: the cluster's)")
    if trains:
        add("--slurm.nodes", type=int, default=default.nodes, help="nodes that train each run together, by torchrun")
    add("--slurm.array_parallelism", type=int, default=default.array_parallelism, help="tasks at once, at the most")
    add("--slurm.account", type=str, default=None, help="who pays")
    add("--slurm.qos", type=str, default=None, help="quality of service")
    add("--slurm.constraint", type=str, default=None, help="features a node must have")
    add("--slurm.setup", type=str, nargs="+", default=[], help="shell commands before a job, as 'module load cuda'")
    add("--slurm.signal_delay", type=int, default=default.signal_delay, help="seconds a checkpoint may take at a limit")
    add("--slurm.requeues", type=int, default=default.requeues, help="how often a task may reach its limit")
    add("--slurm.more", type=str, nargs="+", default=[], help="further options of sbatch, as gres=gpu:a100:1")


def cluster_settings(given: Any) -> SlurmSettings:
    """Returns what `--slurm.*` says.

    Raises:
        UsageError: it makes no sense, or there is no cluster to say it to.
    """
    if given.on == "local":
        if given.detach:
            raise UsageError("--detach is for jobs of a cluster", mend="add --on slurm, or leave it out")
        return SlurmSettings()
    require_count("--slurm.array-parallelism", given.slurm.array_parallelism, most=100_000)
    values = given.slurm.as_dict()
    return SlurmSettings(**{**values, "setup": tuple(values["setup"]), "more": tuple(values["more"])})


class CommandJob(Job):
    """A command line of this program as a job.

    Args:
        words: the words after `vqa-gs`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)

    def work(self) -> None:
        """Runs the command.

        Raises:
            VqaGsError: it failed.
        """
        from importlib import import_module

        from vqa_gs.common.phases import StderrHandler, listening

        with listening(StderrHandler()):
            import_module(f"vqa_gs.cli.{self.words[0]}").run(self.words[1:])


def left_running(records: Path, command: str) -> KeyboardInterrupt:
    """Returns what is raised where a user no longer waits for jobs."""
    return KeyboardInterrupt(f"the jobs stay in the queue; {command}; what they say is in {records}")
