"""Run directories, read for reports and comparisons, without torch and never written.

Nothing here scores: the numbers are those of the metrics files.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from vqa_gs.eval.metrics_file import read_metrics, read_text
from vqa_gs.eval.runs import Curves, RunSummary, SplitMetrics, flatten

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.yaml_files import read_yaml
from vqa_gs.data.json_files import decode, decode_any, read_content

_SEED_SUFFIX = re.compile(r"^(?P<name>.*?)(?:^|[-_])seed[-_]?(?P<seed>\d+)$")


def _load_all_metrics(folder: Path) -> dict[str, SplitMetrics]:
    files = sorted((folder / "metrics").glob("*.json"))
    metrics: dict[str, SplitMetrics] = {}
    for file in files:
        loaded = read_metrics(file)
        if loaded.split in metrics:
            raise DataError(f"a second file for the split {loaded.split!r}", file=file, mend="remove one of the two")
        metrics[loaded.split] = loaded
    if not metrics:
        raise DataError("no metrics in this folder", file=folder, mend="run `vqa-gs evaluate` on it first")
    return metrics


def _load_config(file: Path) -> tuple[dict[str, Any], str]:
    if not file.exists():
        return {}, ""
    text = read_text(file, "configuration")
    config = read_yaml(file, "configuration")
    if config is None:
        return {}, text
    if not isinstance(config, dict):
        raise DataError("not a configuration: its top level is not a mapping", file=file)
    return {str(key): value for key, value in config.items()}, text


def _load_provenance(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    record = decode_any(read_content(file, "provenance")[0], file=file, expected="a run's record")
    if not isinstance(record, dict):
        raise DataError(f"not a run's record: it is a {type(record).__name__}", file=file)
    return record


def _number(text: str | None) -> float | None:
    """Returns the number a cell holds, None for an empty one or one that is not finite."""
    if text is None or not text.strip():
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def load_curves(file: Path) -> Curves | None:
    """Loads a table by epoch, None if it is not there or has no row; of rows of one epoch the last counts.

    Raises:
        DataError: the file is damaged.
    """
    if not file.exists():
        return None
    reader = csv.DictReader(io.StringIO(read_text(file, "epochs"), newline=""))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"damaged CSV: {error}", file=file) from error
    names = list(reader.fieldnames or [])
    if not rows:
        return None
    by_epoch: dict[float, dict[str, float | None]] = {}
    texts: set[str] = set()
    for index, row in enumerate(rows):
        if None in row:
            raise DataError("more cells than the header has", file=file, record=f"row {index + 1}")
        values: dict[str, float | None] = {}
        for name in names:
            try:
                values[name] = _number(row[name])
            except ValueError:
                texts.add(name)
        epoch = values.get("epoch")
        # A resumed run may have written an epoch twice: the later row is the one that was kept.
        by_epoch[float(index) if epoch is None else epoch] = values
    epochs = sorted(by_epoch)
    columns = {
        name: tuple(by_epoch[epoch].get(name) for epoch in epochs)
        for name in names
        if name != "epoch" and name not in texts
    }
    return Curves(tuple(epochs), columns)


def _seed(folder: Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> int | None:
    for record in (provenance, config):
        flat = flatten(record)
        for key in sorted(flat, key=lambda key: key.count(".")):
            if key.rsplit(".", 1)[-1] == "seed" and type(flat[key]) is int:
                return flat[key]
    match = _SEED_SUFFIX.match(folder.name)
    return int(match["seed"]) if match else None


def _names(folder: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the run's name and its arm's."""
    absolute = folder.absolute()
    match = _SEED_SUFFIX.match(absolute.name)
    if match and not match["name"]:
        run, arm = f"{absolute.parent.name}/{absolute.name}", absolute.parent.name
    else:
        run, arm = absolute.name, match["name"] if match else absolute.name
    named = config.get("name")
    if isinstance(named, str) and named.strip():
        arm = named.strip()
    return run, arm


def load_run(folder: StrPath) -> RunSummary:
    """Loads what a report needs of a run directory.

    Only the metrics must be there; a run scored elsewhere may lack the rest.

    Raises:
        DataError: there is no such folder, no metrics in it, or one of its files is damaged or foreign.
    """
    path = Path(folder)
    if not path.exists():
        raise DataError("no such run folder", file=path, mend="check the path")
    if not path.is_dir():
        raise DataError("is a file, expected a run folder", file=path, mend="name the folder of a run")
    config, config_text = _load_config(path / "config.yaml")
    provenance = _load_provenance(path / "run.json")
    name, arm = _names(path, config)
    return RunSummary(
        name=name,
        arm=arm,
        folder=path,
        metrics=_load_all_metrics(path),
        seed=_seed(path, config, provenance),
        config=config,
        config_text=config_text,
        provenance=provenance,
        curves=load_curves(path / "epochs.csv"),
        complete=(path / "done").exists(),
    )


def find_runs(folders: Sequence[StrPath]) -> list[Path]:
    """Returns run directories: those that are named, and of a folder that is none, those inside of it at any depth.

    Raises:
        DataError: there is no such folder, or no run with metrics in it.
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir() or (folder / "metrics").is_dir() or (folder / "config.yaml").is_file():
            found.append(folder)  # what is wrong with it, `load_run` says
            continue
        inside = sorted(path.parent for path in folder.rglob("metrics") if any(path.glob("*.json")))
        if not inside:
            raise DataError("is no run folder, and holds none with metrics", file=folder, mend="name folders of runs")
        found += inside
    return list(dict.fromkeys(found))


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
