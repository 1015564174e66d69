"""Waiting for what was submitted, by the files that tasks write; Slurm is asked now and then whether they are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vqa_gs.cluster.queue import alive
from vqa_gs.cluster.records import ENDED, Records, Submission

LOOK_EVERY = 1.0
ASK_EVERY = 30.0


def follow(records: Records, submissions: Sequence[Submission], look: Callable[[], None]) -> None:
    """Returns when every task has ended, or Slurm knows of none any more.

    Args:
        records: of the submissions.
        submissions: those that are waited for.
        look: called about once a second, and once at the end.

    Raises:
        UsageError: Slurm cannot be asked.
    """
    asked = time.monotonic()
    while any(
        records.task(one.name, number).state not in ENDED for one in submissions for number in range(len(one.tasks))
    ):
        if time.monotonic() - asked >= ASK_EVERY:
            asked = time.monotonic()
            if not alive(submissions):
                break
        look()
        time.sleep(LOOK_EVERY)
    look()
