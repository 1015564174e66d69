"""What a run directory says of the files it was tested on, read from its record without torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.json_files import decode, read_content


class SplitFiles(NamedTuple):
    """A split of a run: its files and the scoring rule."""

    questions: str
    annotations: str
    scoring: str


class _Split(msgspec.Struct):
    questions: str
    annotations: str


class _Data(msgspec.Struct):
    tests: dict[str, _Split] = {}
    iid_val: _Split | None = None


class _Config(msgspec.Struct):
    data: _Data
    scoring: str = "official"


class _Record(msgspec.Struct):
    config: _Config


def split_files(run: Path, split: str) -> SplitFiles:
    """Returns the files of a split that a run was scored on.

    Raises:
        DataError: the run's record is missing or damaged.
        UsageError: the run has no such split in files of its own.
    """
    file = run / "run.json"
    content, _ = read_content(file, "run record")
    config = decode(content, _Record, file=file, expected="a run record").config
    splits = {**({"iid_val": config.data.iid_val} if config.data.iid_val else {}), **config.data.tests}
    if split not in splits:
        known = ", ".join(splits)
        raise UsageError(
            f"{run} has no split {split!r} in files of its own",
            mend=f"choose --split {known}" if known else "give --questions and --annotations",
        )
    found = splits[split]
    if not Path(found.questions).exists():
        raise DataError(
            f"the questions of {split} are not there any more: {found.questions}",
            file=file,
            mend="run the command in the folder the run was trained in, or give --questions and --annotations",
        )
    return SplitFiles(found.questions, found.annotations, config.scoring)
