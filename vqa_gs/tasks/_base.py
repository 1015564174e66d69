"""What the training loop asks of a task: data as batches with pairs, a model, what objectives see, a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.eval.runs import SplitMetrics
from vqa_gs.objectives import Step
from vqa_gs.tasks._plan import Lengths, Plan

TASKS: Registry[type[Task]] = Registry("task", "vqa_gs.tasks")

SomeBatch = TypeVar("SomeBatch", bound="Batch")


class RunSettings(Protocol):
    """What a task reads of a run's settings; the sections ``data`` and ``model`` are the task's own.

    Attributes:
        data: an instance of `Task.Data`.
        seed: seeds the model's initial values and whatever is drawn.
        scoring: the rule accuracies are computed by.
        architecture: which of `Task.models`.
        model: the model's settings.
        training: how the run is trained.
    """

    data: Any
    seed: int
    scoring: str
    architecture: str
    model: Any
    training: Any


@dataclass(frozen=True)
class Wanted:
    """What a run's objectives ask of a step.

    Attributes:
        places: inputs that gradients are taken by.
        aligned: inputs whose directions are needed.
        traces: the attention's trace is needed.
        inputs: the model is asked again, about other inputs.
    """

    places: frozenset[str] = frozenset()
    aligned: frozenset[str] = frozenset()
    traces: bool = False
    inputs: bool = False


@dataclass(kw_only=True)
class Batch:
    """One step's input: 2P pair ends (all a, then all b), then ordinary examples. A task's own adds fields.

    Attributes:
        targets: (n, answers) float32.
        labels: (2P,) int64, best answers of the ends, -1 for none.
        alignment: gather indices of the directions at both ends, see `vqa_gs.pair_builders.directions`; may be empty
            where no term asks for them.
        weight: (2P,) float32 pair weights.
        rows: rows of all processes' batches divided by the number of processes.
        end_rows: as ``rows``, for pair ends.
        epoch: how far training has come.
        seed: seed of this step's dropout.
    """

    targets: Tensor
    labels: Tensor
    alignment: tuple[Tensor, ...]
    weight: Tensor
    rows: float
    end_rows: float
    epoch: float
    seed: int

    def __len__(self) -> int:
        return len(self.targets)

    def to(self: SomeBatch, device: torch.device) -> SomeBatch:
        """Returns the batch on a device."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return tuple(move(part) for part in value) if isinstance(value, tuple) else value

        return type(self)(**{name: move(value) for name, value in vars(self).items()})


class Split(ABC):
    """A split that a run is scored on: read and checked before training, so that nothing is found amiss after it.

    Attributes:
        name: what metrics and predictions are filed under.
    """

    name: str

    @abstractmethod
    def predict(self, model: nn.Module, batch_size: int, rank: int, world: int) -> Tensor:
        """Returns a CPU tensor of what the model says of every example.

        Args:
            model: the network; it is put into evaluation mode and back.
            batch_size: examples at once.
            rank: which process this is; it fills in its share of the batches, and 0 elsewhere.
            world: of how many, whose tensors are summed.
        """

    @abstractmethod
    def score(self, predictions: Tensor) -> float:
        """Returns the one number epochs are chosen by, in percent."""

    def look(self, model: nn.Module) -> None:
        """Takes in what the report is to tell of the trained network beside its predictions; nothing, unless said."""
        return

    @abstractmethod
    def report(self, predictions: Tensor, folder: Path) -> SplitMetrics:
        """Writes ``metrics/NAME.json`` and ``predictions/NAME.json`` of a run directory, returns the metrics."""


class Task(ABC):
    """A task with its data read: everything of a run that depends on what is being learnt.

    Making one reads, checks and encodes all files of the run.

    Args:
        settings: the run's settings.

    Attributes:
        Data: dataclass of the section ``data``; it has a list ``pairs`` of files and a number ``max_pairs``, and
            methods ``files()``, what a run reads, and ``stores()``, which of them are region stores.
        models: the architectures; each has a dataclass ``Settings``, in which ``hidden`` is the model's width.
        architecture: the one taken where a run names none.
        scoring: the rule taken where a run names none.
        places: the inputs that objectives can differentiate by.
        tests_are_files: whether a split in ``data.tests`` is one file, ``name: file``.
        sources: path -> SHA-256 of every file read.
        ordinary: how many ordinary training examples there are.
        pairs: how many pairs.
        lengths: of ordinary examples and of pairs, where batches should be of about one length; see `Plan`.
        notes: what whoever trains should know of the data, a line each.
        validation: the in-domain split, which epochs are chosen on.
        tests: splits that are looked at once, after training.

    Raises:
        VqaGsError: files are damaged, or do not fit together or the settings.
    """

    Data: ClassVar[type[Any]]
    models: ClassVar[Registry[Any]]
    architecture: ClassVar[str]
    scoring: ClassVar[str]
    places: ClassVar[frozenset[str]]
    tests_are_files: ClassVar[bool] = True

    sources: dict[str, str]
    ordinary: int
    pairs: int
    lengths: tuple[Lengths, Lengths] = (None, None)
    notes: Sequence[str] = ()
    validation: Split
    tests: list[Split]

    @abstractmethod
    def __init__(self, settings: RunSettings) -> None: ...

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Returns the network, its initial values drawn from the run's seed."""

    @abstractmethod
    def batcher(self, plan: Plan, wanted: Wanted) -> Callable[[int], Batch]:
        """Returns what makes the batch of a step; a batch's memory may be used again `BUFFERS` calls later."""

    @classmethod
    def require(cls, model: nn.Module, wanted: Wanted) -> None:
        """Refuses objectives that the task or the model cannot serve; none asks again, or for a trace, but images.

        Raises:
            UsageError: naming what is missing.
        """
        if wanted.traces or wanted.inputs:
            what = "the closed form of gradient supervision" if wanted.traces else "an objective"
            raise UsageError(f"{what} needs image regions, which this task does not have", mend="switch it off")
        for place in sorted((wanted.places | wanted.aligned) - cls.places):
            raise UsageError(
                f"an objective acts on {place}, which this task does not have",
                mend=f"let gradient supervision act on {', '.join(sorted(cls.places))}, and switch other terms off",
            )

    @staticmethod
    @abstractmethod
    def examine(model: Any, batch: Any, wanted: Wanted) -> Step:
        """Runs the network on a batch and returns the step as objectives see it."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes into the run directory what the model cannot be used without: vocabularies."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Returns what run.json tells beside what it tells of every run."""
