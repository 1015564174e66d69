"""Finished runs as a report sees them: configuration, provenance, scores by split, curves.

A run directory is read, never written. Nothing here scores: the numbers are those of the metrics files.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath

METRICS_FORMAT = "vqa-gs-metrics"
# Multi-label classification's rule; classes stand where answer types do, images where questions do.
MEAN_AVERAGE_PRECISION = "mAP"

Domain = Literal["in", "ood"]
# Means of per-question accuracies may overshoot 100 by a rounding error.
Percent = Annotated[float, msgspec.Meta(ge=0.0, le=100.000001)]
Count = Annotated[int, msgspec.Meta(ge=0)]

_SEED_SUFFIX = re.compile(r"^(?P<name>.*?)(?:^|[-_])seed[-_]?(?P<seed>\d+)$")


class Source(msgspec.Struct, frozen=True):
    """A file the scores were computed from."""

    path: str = ""
    sha256: str = ""


class PairAccuracy(msgspec.Struct, frozen=True):
    """How many pairs have both ends answered right."""

    accuracy: Percent | None = None
    pairs: Count = 0


class Counts(msgspec.Struct, frozen=True):
    """How many questions stand behind each accuracy."""

    per_answer_type: dict[str, Count] = {}
    per_question_type: dict[str, Count] = {}


class SubsetMetrics(msgspec.Struct, frozen=True):
    """Scores on a named part of a split."""

    overall: Percent | None = None
    questions: Count = 0
    per_answer_type: dict[str, Percent | None] = {}
    pair_accuracy: dict[str, PairAccuracy] = {}


class Intervals(msgspec.Struct, frozen=True):
    """Intervals over questions, low and high in percent; None where a group lies in one image."""

    overall: tuple[float, float] | None = None
    per_answer_type: dict[str, tuple[float, float] | None] = {}
    per_question_type: dict[str, tuple[float, float] | None] = {}
    subsets: dict[str, tuple[float, float] | None] = {}


class Selection(msgspec.Struct, frozen=True):
    """How these scores were chosen among those of several result files.

    Attributes:
        candidates: the accuracy of each file; empty where epochs were chosen.
        on_test: whether they were chosen by their accuracy on a test split.
    """

    candidates: dict[str, float] = {}
    on_test: bool = False


class SplitMetrics(msgspec.Struct, frozen=True):
    """One metrics file: the scores of one run on one split.

    ``breakdowns`` holds what `eval/breakdowns` found, by the breakdown's name; each report section reads its own.
    """

    scoring: str
    split: str
    overall: Percent | None
    questions: Count = 0
    per_answer_type: dict[str, Percent | None] = {}
    per_question_type: dict[str, Percent | None] = {}
    counts: Counts = Counts()
    pair_accuracy: dict[str, PairAccuracy] = {}
    subsets: dict[str, SubsetMetrics] = {}
    sources: dict[str, Source] = {}
    domain: Domain | None = None
    intervals: Intervals | None = None
    breakdowns: dict[str, Any] = {}
    notes: list[str] = []
    selection: Selection | None = None

    @property
    def side(self) -> Domain | None:
        """On which side of the shift the split lies: as the file says, else its name, else unknown."""
        return self.domain or split_domain(self.split)


class Curves(msgspec.Struct, frozen=True):
    """What was written after each epoch: a column a quantity, None where a cell is empty or not finite."""

    epochs: tuple[float, ...]
    columns: dict[str, tuple[float | None, ...]]

    def points(self, name: str) -> list[tuple[float, float]]:
        """Returns the epochs at which a column has a value, with it; none if there is no such column."""
        values = self.columns.get(name, (None,) * len(self.epochs))
        return [(x, y) for x, y in zip(self.epochs, values, strict=True) if y is not None]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All a report needs of one run.

    Attributes:
        name: what to call the run: its folder's name, after the parent's where the folder is only ``seedN``.
        arm: what to call it together with the runs that differ from it only by the seed.
        folder: where it lies, as given.
        seed: of the run, where known.
        config: the parsed ``config.yaml``; empty if there is none.
        config_text: the same as it was written.
        provenance: the parsed ``run.json``; empty if there is none.
        metrics: scores by split name.
        curves: the epochs' table, if there is one.
        complete: whether the run says that it finished.
    """

    name: str
    arm: str
    folder: Path
    metrics: dict[str, SplitMetrics]
    seed: int | None = None
    config: dict[str, Any] = {}
    config_text: str = ""
    provenance: dict[str, Any] = {}
    curves: Curves | None = None
    complete: bool = False


def split_domain(split: str) -> Domain | None:
    """Returns the side of the shift that a split's name tells of by its first letters, else None."""
    lowered = split.lower()
    if lowered.startswith(("iid", "val")):
        return "in"
    if lowered.startswith(("ood", "test")):
        return "ood"
    return None


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of nested mappings and lists by dotted name; an empty container is a leaf."""
    if isinstance(value, Mapping) and value:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple) and value:
        items = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat.update(flatten(inner, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def _read_text(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the {what} file cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the {what} file is not UTF-8 text", file=file, mend="make it again") from error


def load_metrics(path: StrPath) -> SplitMetrics:
    """Loads one metrics file.

    Raises:
        DataError: it is missing, damaged, or not of this format.
    """
    file = Path(path)
    text = _read_text(file, "metrics")
    mend = "make it again with `vqa-gs evaluate`"
    try:
        raw = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise DataError(f"damaged JSON: {error}", file=file, mend=mend) from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != METRICS_FORMAT:
        raise DataError(
            f"not a metrics file: its format is {found!r}, expected {METRICS_FORMAT!r}", file=file, mend=mend
        )
    try:
        return msgspec.convert(raw, SplitMetrics)
    except msgspec.ValidationError as error:
        raise DataError(f"not a metrics file of this version: {error}", file=file, mend=mend) from error


def _load_all_metrics(folder: Path) -> dict[str, SplitMetrics]:
    files = sorted((folder / "metrics").glob("*.json"))
    metrics: dict[str, SplitMetrics] = {}
    for file in files:
        loaded = load_metrics(file)
        if loaded.split in metrics:
            raise DataError(f"a second file for the split {loaded.split!r}", file=file, mend="remove one of the two")
        metrics[loaded.split] = loaded
    if not metrics:
        raise DataError("no metrics in this folder", file=folder, mend="run `vqa-gs evaluate` on it first")
    return metrics


def _load_config(file: Path) -> tuple[dict[str, Any], str]:
    if not file.exists():
        return {}, ""
    text = _read_text(file, "configuration")
    try:
        config = yaml.safe_load(text)
        flatten(config)  # a file that refers to itself would stop every later reader
    except yaml.YAMLError as error:
        raise DataError(f"damaged YAML: {error}", file=file) from error
    except RecursionError as error:
        raise DataError("damaged YAML: it contains itself", file=file) from error
    if config is None:
        return {}, text
    if not isinstance(config, dict):
        raise DataError("not a configuration: its top level is not a mapping", file=file)
    return {str(key): value for key, value in config.items()}, text


def _load_provenance(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(_read_text(file, "provenance"), type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise DataError(f"not a run's record: {error}", file=file) from error
    except msgspec.DecodeError as error:
        raise DataError(f"damaged JSON: {error}", file=file) from error


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
    reader = csv.DictReader(io.StringIO(_read_text(file, "epochs"), newline=""))
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


def find_runs(folder: StrPath) -> list[Path]:
    """Returns the run folders with metrics at or under ``folder``, sorted by path.

    Raises:
        DataError: there is no such folder, or no run with metrics in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError("no such folder of runs", file=root, mend="check the path")
    found = sorted({file.parent.parent for file in root.rglob("metrics/*.json")})
    if not found:
        raise DataError("no run with metrics in this folder", file=root, mend="run `vqa-gs evaluate` first")
    return found
