"""What the training loop asks of a task: data as batches with pairs, a model, a forward pass, splits to score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.eval.runs import SplitMetrics
from vqa_gs.pipeline.plan import Lengths, Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from vqa_gs.contracts import Batch, Objective, Outputs, TrainingStatistics
    from vqa_gs.pipeline.trained import Trained


class RunSettings(Protocol):
    """What a task reads of a run's settings; the sections ``data`` and ``model`` are the task's own.

    Attributes:
        data: an instance of `Task.Data`.
        seed: seeds the model's initial values and whatever is drawn.
        scoring: the rule accuracies are computed by.
        architecture: which of `Task.models`.
        model: the model's settings.
        objectives: those of the terms of the loss, by name.
        training: how the run is trained.
    """

    data: Any
    seed: int
    scoring: str
    architecture: str
    model: Any
    objectives: Any
    training: Any


class Split(ABC):
    """A split that a run is scored on: read and checked before training, so that nothing is found amiss after it.

    Attributes:
        name: what metrics and predictions are filed under.
    """

    name: str

    def named(self, name: str) -> Split:
        """Returns the same split, filed under another name."""
        other = copy(self)
        other.name = name
        return other

    @abstractmethod
    def predict(
        self, model: nn.Module, batch_size: int, rank: int, world: int, terms: Collection[Objective] = ()
    ) -> Tensor:
        """Returns a CPU tensor of what the model says of every example.

        Args:
            model: the network; it is put into evaluation mode and back.
            batch_size: examples at once.
            rank: which process this is; it fills in its share of the batches, and 0 elsewhere.
            world: of how many, whose tensors are summed.
            terms: of the loss, which may have a say in the logits, see `Objective.at_test`.
        """

    @abstractmethod
    def score(self, predictions: Tensor) -> float:
        """Returns the one number epochs are chosen by, in percent."""

    def ground(self, model: nn.Module, terms: Collection[Objective] = ()) -> None:
        """Takes in where the trained network looks, for the report; nothing, unless said."""
        return

    @abstractmethod
    def report(self, predictions: Tensor, folder: Path) -> SplitMetrics:
        """Writes ``metrics/NAME.json`` and ``predictions/NAME.json`` of a run directory, returns the metrics."""


class Task(ABC):
    """A task with its data read: everything of a run that depends on what is being learnt.

    Making one reads, checks and encodes all files of the run. The class itself is asked for its settings by commands
    that only parse them, so that its module imports torch, and what stands on it, inside methods.

    Args:
        settings: the run's settings.

    Attributes:
        Data: dataclass of the section ``data``; it has a list ``pairs`` of files and a number ``max_pairs``, and
            methods ``files()``, what a run reads, and ``stores()``, which of them are region stores.
        models: the architectures; each has a dataclass ``Settings``, in which ``hidden`` is the model's width,
            ``provides(settings)``, what terms may require of it, and ``sizes()``.
        architecture: the one taken where a run names none.
        scoring: the rule taken where a run names none.
        provides: what terms may require of the task, see `vqa_gs.requirements`.
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
    provides: ClassVar[frozenset[str]]
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
    def statistics(self, model: Any) -> TrainingStatistics:
        """Returns what terms may know of the training data and the model."""

    def image_of(self) -> NDArray[np.int64] | None:
        """Returns a number for the image of each ordinary example, (ordinary,), None where there are no images.

        With it images can be drawn instead of examples, see `vqa_gs.pipeline.image_plan.ImagePlan`: the batcher is
        given such a plan then, if the model provides `vqa_gs.requirements.SHARED_IMAGES`.
        """
        return None

    @abstractmethod
    def batcher(self, plan: Plan, requirements: frozenset[str]) -> Callable[[int], Batch]:
        """Returns what makes the batch of a step; a batch's memory may be used again `BUFFERS` calls later."""

    @staticmethod
    @abstractmethod
    def forward(model: Any, batch: Any, requirements: frozenset[str]) -> Outputs:
        """Runs the network on a batch and returns what the terms of the loss need."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes into the run directory what the model cannot be used without: vocabularies."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Returns what run.json tells beside what it tells of every run."""

    @classmethod
    def trained(cls, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> Trained:
        """Opens a finished run of the task, to be asked.

        Args:
            folder: the run directory.
            settings: the run's settings.
            device: where to compute, see `choose_device`.
            how: the task's own.

        Raises:
            UsageError: the task has nothing to open its runs with, or the device is not there.
            DataError: files of the run are missing or damaged.
        """
        raise UsageError(f"{folder}: runs of this task cannot be asked", mend="give the task a method `trained`")

    def said_by(self, run: Trained) -> Tensor:
        """Returns the logits a finished run of the task gives to every training example, see `TrainingStatistics`.

        Raises:
            UsageError: the run cannot be asked about them.
        """
        raise UsageError("this task does not ask other runs", mend="give the task a method `said_by`")
