"""A run as reports and comparisons see it: configuration, provenance, scores by split, curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from vqa_gs.eval.metrics import Count, PairAccuracy, Percent
from vqa_gs.eval.statistics import LEVEL, Interval

METRICS_FORMAT = "vqa-gs-metrics"
# Multi-label classification's rule; classes stand where answer types do, images where questions do.
MEAN_AVERAGE_PRECISION = "mAP"

SUBSET = "subset "
"""What the name of a subset's list begins with among the sources of metrics."""

B = TypeVar("B", bound=msgspec.Struct)
Domain = Literal["in", "ood"]


class Source(msgspec.Struct, frozen=True):
    """A file the scores were computed from."""

    path: str = ""
    sha256: str = ""


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

    level: float = LEVEL
    replicates: Count = 0
    seed: int = 0
    resampled: str = "image"
    overall: Interval | None = None
    per_answer_type: dict[str, Interval | None] = {}
    per_question_type: dict[str, Interval | None] = {}
    subsets: dict[str, Interval | None] = {}


class ModelSelection(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How these scores were chosen among those of several result files.

    Attributes:
        kept: the result file that was kept; "" where epochs were chosen.
        candidates: the accuracy of each file; empty where epochs were chosen.
        on_test: whether they were chosen by their accuracy on a test split.
    """

    kept: str = ""
    candidates: dict[str, float] = {}
    on_test: bool


class SplitMetrics(msgspec.Struct, frozen=True):
    """One metrics file: the scores of one run on one split, field by field as `docs/architecture.md` has it.

    What is None is not in the file, but for ``overall``. ``breakdowns`` has the sections of the breakdowns by name,
    each a struct of its own. ``form`` and ``form_options`` say how the questions' files are read, where a suite does.
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
    missing: Count | None = None
    intervals: Intervals | None = None
    breakdowns: dict[str, Any] = {}
    notes: list[str] = []
    selection: ModelSelection | None = None
    domain: Domain | None = None
    form: str | None = None
    form_options: dict[str, str] | None = None

    @property
    def side(self) -> Domain | None:
        """On which side of the shift the split lies: as the file says, else its name, else unknown."""
        return self.domain or split_domain(self.split)

    def breakdown(self, kind: type[B]) -> B | None:
        """Returns the section of a breakdown, None if the data did not allow it."""
        return next((section for section in self.breakdowns.values() if isinstance(section, kind)), None)


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
