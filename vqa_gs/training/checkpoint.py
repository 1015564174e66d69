"""Checkpoints: what a run needs to go on as if it had never stopped, and whether a file really holds that."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypedDict, get_origin, get_type_hints

import msgspec
import torch
from torch import Tensor, nn

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import atomic_path
from vqa_gs.common.tensors import tensor_difference
from vqa_gs.common.torch_files import load_tensors

FORMAT = "vqa-gs-checkpoint"

_Row = dict[str, float | int | str | None]
_Means = dict[str, tuple[float, float]]


class _Best(TypedDict):
    epoch: int
    accuracy: float
    model: Any


# Parts that hold no tensors.
_PLAIN: dict[str, Any] = {
    "step": Annotated[int, msgspec.Meta(ge=0, lt=2**62)],
    "best": _Best,
    "recent": _Means,
    "epoch_means": _Means,
    "steps_log": list[_Row],
    "epochs_log": list[_Row],
    "sources": dict[str, str],
}
_MEND = "remove it to train from the start"


@dataclass
class Checkpoint:
    """A run between two steps.

    Attributes:
        step: steps done.
        model: the tensors of model and terms by name.
        optimizer: the optimiser's state.
        best: epoch, in-domain accuracy and tensors (of model and terms, on the CPU) of the epoch to keep so far.
        recent: sums and counts since the last row of log.csv.
        epoch_means: sums and counts since the last row of epochs.csv.
        steps_log: the rows of log.csv.
        epochs_log: the rows of epochs.csv.
        sources: path -> SHA-256 of the data.
    """

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    best: dict[str, Any]
    recent: dict[str, Any]
    epoch_means: dict[str, Any]
    steps_log: list[Any]
    epochs_log: list[Any]
    sources: dict[str, Any]

    def save(self, file: Path) -> None:
        """Writes the checkpoint, whole or not at all.

        Raises:
            DataError: it cannot be written, as when the disk is full.
        """
        with atomic_path(file) as temporary:
            try:
                torch.save({"format": FORMAT, **vars(self)}, temporary)
            except RuntimeError as error:  # torch's writer tells of a full disk by an assertion of its own
                raise DataError("cannot be written whole", file=file, mend="is the disk full?") from error

    @classmethod
    def load(cls, file: Path, device: torch.device) -> Checkpoint:
        """Reads a checkpoint; only tensors and plain containers are ever loaded.

        Raises:
            DataError: the file is damaged, or another program's.
        """
        try:
            found = load_tensors(file, device)
        except Exception as error:  # a damaged archive raises many types
            raise DataError(
                f"is no checkpoint, or a damaged one ({type(error).__name__})", file=file, mend=_MEND
            ) from error
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise DataError("is another program's checkpoint", file=file, mend=_MEND)
        kinds = {name: get_origin(kind) or kind for name, kind in get_type_hints(cls).items()}
        for part in fields(cls):
            if not isinstance(found.get(part.name), kinds[part.name]):
                raise DataError("its entry is missing or no such thing", file=file, record=part.name, mend=_MEND)
        for name, kind in _PLAIN.items():
            try:
                msgspec.convert(found[name], kind)
            except (msgspec.ValidationError, RecursionError) as error:
                raise DataError(f"its entry is no such thing: {error}", file=file, record=name, mend=_MEND) from error
        return cls(**{part.name: found[part.name] for part in fields(cls)})

    def check_place(self, file: Path, steps_per_epoch: int, total_steps: int) -> None:
        """Raises DataError where the checkpoint is no place between two steps of this run.

        Args:
            file: where it came from, for messages.
            steps_per_epoch: the run's.
            total_steps: the run's.
        """
        epochs, best = len(self.epochs_log), self.best
        ended = {self.step // steps_per_epoch, -(-self.step // steps_per_epoch) if self.step == total_steps else -1}
        has_best = best.get("model") is not None and 0 <= best["epoch"] < epochs
        if not 0 <= self.step <= total_steps or epochs not in ended or has_best != (epochs > 0):
            problem = f"is after step {self.step} and {epochs} epochs, which this run of {total_steps} steps never is"
            raise DataError(problem, file=file, mend=_MEND)

    def restore(self, file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, sources: dict[str, str]) -> None:
        """Gives model and optimiser the checkpoint's numbers.

        Args:
            file: where the checkpoint came from, for messages.
            model: the run's training step: network and terms.
            optimizer: the run's optimiser.
            sources: path -> SHA-256 of the data as they are now.

        Raises:
            UsageError: the data changed since the run was interrupted.
            DataError: the numbers are those of another model or optimiser.
        """
        if self.sources != sources:
            changed = next(key for key in {**self.sources, **sources} if self.sources.get(key) != sources.get(key))
            raise UsageError(
                f"{changed} changed since the run was interrupted",
                file=file,
                mend="restore the data, or remove the run's folder to train anew",
            )
        expected = model.state_dict()
        parts = {"model": self.model}
        if self.best.get("model") is not None:
            parts["best model"] = self.best["model"]
        for name, tensors in parts.items():
            difference = tensor_difference(tensors, expected)
            if difference:
                raise DataError(f"holds another model: {difference}", file=file, record=name, mend=_MEND)
        model.load_state_dict(self.model)
        try:
            optimizer.load_state_dict(self.optimizer)
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    for value in optimizer.state[parameter].values():
                        if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                            raise ValueError("a state of another shape than its parameter")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"holds another optimiser: {error}", file=file, record="optimizer", mend=_MEND) from error
