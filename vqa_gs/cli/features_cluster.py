"""`vqa-gs features extract --on slurm`: the shards of an extraction as an array, and their merge after it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqa_gs.cli.on_cluster import CommandJob, left_running
from vqa_gs.cli.parsing import STATE, require_count
from vqa_gs.cluster.job import Job
from vqa_gs.cluster.records import Records, Submission
from vqa_gs.cluster.settings import SlurmSettings
from vqa_gs.common.errors import UsageError, VqaGsError

# What is said to Slurm, not to a shard.
_NOT_OF_A_SHARD = frozenset({"on", "detach", "slurm", "shards", "shard", "out"})


class MergeShards(Job):
    """Merges shards into the store, and removes them.

    Args:
        shards: their stores, in order.
        out: the store.
    """

    def __init__(self, shards: Sequence[Path], out: Path) -> None:
        self.shards, self.out = [str(shard) for shard in shards], str(out)

    def work(self) -> None:
        """Merges them.

        Raises:
            VqaGsError: one is damaged, or of other features.
        """
        from vqa_gs.features.extract.shards import merge_shards

        if not any(Path(shard).exists() for shard in self.shards) and Path(self.out).exists():
            return  # it was ended when it had merged and removed them
        whole = merge_shards([Path(shard) for shard in self.shards], self.out)
        print(f"{self.out}: {whole.images:,} images, {whole.regions:,} regions")


def extract_on_slurm(given: Any, batch_size: int, settings: SlurmSettings) -> None:
    """Submits the shards that are neither there nor in the queue, and their merge, and waits for it.

    Args:
        given: the options of `vqa-gs features extract`.
        batch_size: images at once.
        settings: what each task asks for.

    Raises:
        VqaGsError: a shard failed; the others are done, and the same command does that one again.
    """
    from vqa_gs.cluster.queue import alive, submit
    from vqa_gs.features.extract.listing import list_images
    from vqa_gs.features.extract.shards import Shard

    require_count("--shards", given.shards, most=100_000)
    if given.shard is not None:
        raise UsageError("--shard and --shards do not go together", mend="leave --shard out")
    out = Path(given.out)
    words = _words(given)
    items = list_images(given.images, given.ids)
    shards = [Shard(number, given.shards) for number in range(1, given.shards + 1)]
    shards = [shard for shard in shards if shard.part(items, batch_size)]
    records = Records(out.with_name(f"{out.stem}.slurm"))
    with records.alone():
        before = records.submissions()
        there = alive(before)
        # A store is whole or absent, but it has to be of the same features.
        same = any(task == [*words, str(shards[-1].of)] for one in before for task in _commands(one))
        known = [one for one in before if one.name in there]
        if not known and same and out.exists():
            print(f"{out}: is finished already; remove it to make it anew")
            return
        busy = {task[0] for one in known if one.kind == "shards" for task in _alive_tasks(one, there[one.name])}
        left = [
            shard
            for shard in shards
            if f"{shard.number}/{shard.of}" not in busy and not (same and shard.path(out).exists())
        ]
        new: list[Submission] = []
        if left:
            names = [[f"{shard.number}/{shard.of}", *words, str(shard.of)] for shard in left]
            jobs = [
                CommandJob([*words, "--shard", name[0], "--out", str(shard.path(out))])
                for shard, name in zip(left, names, strict=True)
            ]
            new.append(submit(records, "shards", jobs, names, settings))
        if left or not known:
            # Of an earlier array a task may have failed, which is done again in the new one.
            after = [f"afterany:{one.job}" for one in known if one.kind == "shards"]
            after += [f"afterok:{one.job}" for one in new]
            merge = MergeShards([shard.path(out) for shard in shards], out)
            new.append(submit(records, "merge", [merge], [[]], settings, after, one_node=True))
    print(f"{len(left)} of {len(shards)} shards submitted", file=sys.stderr)
    if not given.detach:
        _follow(records, [*known, *new], out)


def _words(given: Any) -> list[str]:
    """Returns the words of the extraction, without those of a cluster, a shard, and its store."""
    words = ["features", "extract"]
    for name, value in given.as_dict().items():
        if name in _NOT_OF_A_SHARD or value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [str(one) for one in (value if isinstance(value, list) else [value])]
    return words


def _commands(one: Submission) -> list[list[str]]:
    return [task[1:] for task in one.tasks] if one.kind == "shards" else []


def _alive_tasks(one: Submission, numbers: dict[int, str]) -> list[list[str]]:
    return [one.tasks[number] for number in numbers]


def _follow(records: Records, submissions: Sequence[Submission], out: Path) -> None:
    from rich.console import Console

    from vqa_gs.cluster.following import follow

    tasks = [(one, number) for one in submissions if one.kind == "shards" for number in range(len(one.tasks))]
    told: set[str] = set()
    console = Console(stderr=True, quiet=STATE.quiet)

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def look() -> None:
        for one, number in tasks:
            state, name = records.task(one.name, number), one.tasks[number][0]
            if state.state in ("done", "failed") and name not in told:
                told.add(name)
                line = f"shard {name}: {state.state} on {state.node}, {state.seconds:.0f} s {state.error}"
                tell(line.rstrip())

    try:
        follow(records, submissions, look, tell)
    except KeyboardInterrupt as error:
        names = ",".join(one.name for one in submissions)
        raise left_running(records.logs, f"`squeue --me` shows them, `scancel --name={names}` ends them") from error
    states = [(one.tasks[number][0], records.task(one.name, number)) for one, number in tasks]
    merges = [records.task(one.name, 0) for one in submissions if one.kind == "merge"]
    failed = [(name, state.error) for name, state in states if state.state == "failed"]
    failed += [("merge", state.error) for state in merges if state.state == "failed"]
    if failed or not any(state.state == "done" for state in merges):
        why = f"{failed[0][0]}: {failed[0][1]}" if failed else f"its jobs are gone; what they said is in {records.logs}"
        raise VqaGsError(f"{out} is not made; {why}", mend="the same command does again what is not done")
    print(out)
