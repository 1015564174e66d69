"""What a job asks of Slurm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vqa_gs.common.errors import UsageError

_UNITS = {"m": 1, "min": 1, "h": 60, "d": 1440}
_MEND = "write 90m, 8h, 2d, or as Slurm does 1-12:00:00"
# A run's numbers depend on how many threads sum them up: they are those of the job, wherever it runs.
_THREADS = 'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}}"'


def minutes(text: str) -> int:
    """Returns the minutes of ``90``, ``90m``, ``8h``, ``2d``, ``8:00:00`` or ``1-12:00:00``, rounded up.

    Raises:
        UsageError: it is no time.
    """
    word = text.strip()
    plain = re.fullmatch(r"([0-9]{1,7})(m|min|h|d)?", word)
    if plain:
        found = int(plain[1]) * _UNITS[plain[2] or "m"]
    else:
        clock = re.fullmatch(r"(?:([0-9]{1,4})-)?([0-9]{1,4})(?::([0-9]{2}))?(?::([0-9]{2}))?", word)
        if not clock:
            raise UsageError(f"{text!r} is no time", mend=_MEND)
        days, first, second, third = (int(part or 0) for part in clock.groups())
        if clock[1] is None and clock[4] is None:  # minutes and seconds
            found = first + -(-second // 60)
        else:
            found = days * 1440 + first * 60 + second + -(-third // 60)
    if found < 1:
        raise UsageError(f"{text!r} is no time to do anything in", mend=_MEND)
    return found


@dataclass(frozen=True)
class SlurmSettings:
    """What each job asks for.

    Attributes:
        partition: where it waits; None: the cluster's default.
        time: its limit; at it a run writes a checkpoint and waits again.
        gpus: on each node.
        cpus: on each node; None: the cluster's default, mostly 1.
        memory: on each node, as ``16G``; None: the cluster's default.
        nodes: of each run.
        array_parallelism: tasks of an array that run at once, at the most.
        account: who pays.
        qos: quality of service.
        constraint: features that a node must have.
        setup: shell commands before it, such as ``module load cuda``.
        signal_delay: seconds before the limit at which it is told to write a checkpoint.
        requeues: how many limits it may reach.
        more: further options of ``sbatch``, by name.
    """

    partition: str | None = None
    time: str = "8h"
    gpus: int = 0
    cpus: int | None = None
    memory: str | None = None
    nodes: int = 1
    array_parallelism: int = 20
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()
    signal_delay: int = 90
    requeues: int = 20
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        minutes(self.time)
        for name, least in (("gpus", 0), ("nodes", 1), ("array_parallelism", 1), ("signal_delay", 0), ("requeues", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"slurm.{name} must be at least {least}, not {getattr(self, name)}")
        if self.cpus is not None and self.cpus < 1:
            raise UsageError(f"slurm.cpus must be at least 1, not {self.cpus}")
        if self.memory is not None and not re.fullmatch(r"[0-9]{1,9}[KMGT]?B?", self.memory):
            raise UsageError(f"slurm.memory {self.memory!r} is no size", mend="write 16G")
        for word in self.more:
            if not re.fullmatch(r"[a-z][a-z-]*(=[^\n]*)?", word):
                raise UsageError(f"slurm.more {word!r} is no option of sbatch", mend="write gres=gpu:a100:1")

    @property
    def per_node(self) -> int:
        """Processes of a run on each node: one a GPU, one without."""
        return max(1, self.gpus)

    def parameters(self, name: str, after: Sequence[str], one_node: bool = False) -> dict[str, Any]:
        """Returns what submitit's executor is told.

        Args:
            name: of the job.
            after: what it waits for, as ``afterok:12``.
            one_node: it is no run: one node without a GPU does.
        """
        more: dict[str, Any] = {"requeue": True, "kill-on-invalid-dep": "yes"}
        for word in self.more:
            option, equals, value = word.partition("=")
            more[option] = value if equals else True
        found: dict[str, Any] = {
            "job_name": name,
            "time": minutes(self.time),
            "nodes": 1 if one_node else self.nodes,
            "ntasks_per_node": 1,
            "array_parallelism": self.array_parallelism,
            "signal_delay_s": self.signal_delay,
            "setup": [*self.setup, _THREADS],
            "additional_parameters": more,
            "dependency": ",".join(after) or None,
            "cpus_per_task": self.cpus,
            # Since Slurm 22.05 `srun` does not take it over from `sbatch`.
            "srun_args": ["--cpus-per-task", str(self.cpus)] if self.cpus else None,
            "gpus_per_node": None if one_node else self.gpus or None,
            "mem": self.memory,
            **{option: getattr(self, option) for option in ("partition", "account", "qos", "constraint")},
        }
        return {option: value for option, value in found.items() if value is not None}
