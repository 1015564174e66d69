"""Waiting for what was submitted, by the files that tasks write; Slurm is asked now and then whether they are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vqa_gs.cluster.queue import alive
from vqa_gs.cluster.records import ENDED, Records, Submission

LOOK_EVERY = 1.0
ASK_EVERY = 30.0


# Why a task waits without anybody having to do anything.
_PATIENT = {"None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit"}


def follow(
    records: Records, submissions: Sequence[Submission], look: Callable[[], None], tell: Callable[[str], None]
) -> None:
    """Returns when every task has ended, or Slurm knows of none any more.

    Args:
        records: of the submissions.
        submissions: those that are waited for.
        look: called about once a second, and once at the end.
        tell: told why tasks wait that may wait for ever.

    Raises:
        UsageError: Slurm cannot be asked.
    """
    asked, told = time.monotonic(), set(_PATIENT)
    while any(
        records.task(one.name, number).state not in ENDED for one in submissions for number in range(len(one.tasks))
    ):
        if time.monotonic() - asked >= ASK_EVERY:
            asked, told = time.monotonic(), set(_PATIENT)
            there = alive(submissions)
            if not there:
                break
            for why in {word for tasks in there.values() for word in tasks.values()} - told:
                told.add(why)
                if why:
                    tell(f"tasks wait, and may wait for ever; Slurm says why: {why}")
        look()
        time.sleep(LOOK_EVERY)
    look()
