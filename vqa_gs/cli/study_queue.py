"""`vqa-gs study status | cancel`: what has become of each run of a study; the end of its jobs on a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vqa_gs.cli.parsing import new_parser
from vqa_gs.cluster.records import Records
from vqa_gs.common.errors import UsageError
from vqa_gs.common.terminal import printable

_HEADINGS = ("run", "state", "node", "seconds", "epoch", "in-domain", "")


def status(words: Sequence[str]) -> None:
    """Prints what the files of a study tell of each run."""
    from vqa_gs.study.listing import STATES, run_states

    parser = new_parser(
        "study status",
        "Tell of each run whether it is planned, waiting, running, done or failed, where, and how far it is; from the"
        " files of the study alone.",
        "vqa-gs study status runs/study",
    )
    parser.add_argument("out", type=str, help="the study's folder")
    given = parser.parse_args(list(words))
    states = run_states(Path(given.out))
    rows = [
        (
            state.title,
            state.state,
            state.node,
            "" if state.seconds is None else f"{state.seconds:.0f}",
            "" if state.epoch is None else f"{state.epoch}",
            "" if state.accuracy is None else f"{state.accuracy:.2f}",
            state.note,
        )
        for state in states
    ]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    for row in (_HEADINGS, *rows):
        print(printable("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()))
    counts = Counter(state.state for state in states)
    print(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))


def cancel(words: Sequence[str]) -> None:
    """Ends the jobs of a study on a cluster; those that train write a checkpoint first."""
    parser = new_parser(
        "study cancel",
        "End the jobs of a study on a cluster; runs write a checkpoint first, from which the study's command goes on.",
        "vqa-gs study cancel runs/study",
    )
    parser.add_argument("out", type=str, help="the study's folder")
    given = parser.parse_args(list(words))
    from vqa_gs.study.submit import cancel_study

    records = Records(Path(given.out) / "slurm")
    if not records.exist():
        raise UsageError(
            f"nothing was submitted from {given.out}", mend="a study on this machine is ended by Ctrl-C in its terminal"
        )
    print(f"{cancel_study(records)} tasks were waiting or running")
