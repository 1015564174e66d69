"""One extraction on many machines or GPUs: which part is whose, and the parts put together."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vqa_gs.features.extract.listing import Item
from vqa_gs.features.extract.run import is_finished
from vqa_gs.features.merge import MergeSummary, merge

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import StrPath

_LOOK_EVERY = 1.0


@dataclass(frozen=True)
class Shard:
    """One of several parts.

    Attributes:
        number: from 1 on.
        of: how many parts there are.
    """

    number: int
    of: int

    @staticmethod
    def parse(text: str) -> Shard:
        """Returns the shard of ``2/8``; UsageError if it is none."""
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"{text!r} is no shard", mend="give its number and how many there are, as 1/8 to 8/8")
        return Shard(number, of)

    def part(self, items: list[Item], batch_size: int) -> list[Item]:
        """Returns this shard's images: whole batches that follow on each other.

        The shards merged in their order are so, byte for byte, what one extraction of all images gives.
        """
        batches = -(-len(items) // batch_size)
        low, high = batches * (self.number - 1) // self.of, batches * self.number // self.of
        return items[low * batch_size : high * batch_size]

    def path(self, out: StrPath) -> Path:
        """Returns the name of this shard's store, beside that of the whole."""
        whole = Path(out)
        return whole.with_name(f"{whole.stem}.shard-{self.number}-of-{self.of}{whole.suffix}")


def launched(environment: Mapping[str, str]) -> tuple[Shard, int] | None:
    """Returns this process's shard and its number on this machine if ``torchrun`` started it, otherwise None."""
    try:
        rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return (Shard(rank + 1, world), int(environment["LOCAL_RANK"])) if world > 1 else None
    except (KeyError, ValueError):
        return None


def gather(
    items: list[Item],
    out: StrPath,
    of: int,
    *,
    fingerprint: str,
    dtype: str,
    batch_size: int,
    progress: Callable[[int, int | None], None] | None = None,
) -> MergeSummary:
    """Waits until every shard is there, merges them and removes them.

    A process that fails is ended by ``torchrun``, together with this one.
    """
    shards = [Shard(number, of) for number in range(1, of + 1)]
    shards = [shard for shard in shards if shard.part(items, batch_size)]
    paths = [shard.path(out) for shard in shards]
    waiting = list(zip(shards, paths, strict=True))
    while waiting:
        waiting = [
            (shard, path)
            for shard, path in waiting
            if not is_finished(path, shard.part(items, batch_size), fingerprint, dtype)
        ]
        if waiting:
            time.sleep(_LOOK_EVERY)
    return merge_shards(paths, out, progress)


def merge_shards(
    paths: Sequence[Path], out: StrPath, progress: Callable[[int, int | None], None] | None = None
) -> MergeSummary:
    """Merges shards, in their order, and removes them."""
    summary = merge(paths, out, progress)
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()
    return summary
