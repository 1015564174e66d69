"""What finished runs of all tasks share when they are opened again: tensors, terms that have a say, the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vqa_gs.common.devices import choose_device
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import require_file
from vqa_gs.common.tensors import tensor_difference
from vqa_gs.contracts import Objective, TrainingStatistics
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.objectives import OBJECTIVES

MEND = "train the run again"
MODEL = "model.safetensors"
Record = TypeVar("Record")
Model = TypeVar("Model", bound=nn.Module)


class Trained:
    """A finished run, its network in evaluation mode.

    Args:
        folder: the run directory.
        settings: the run's settings, see `vqa_gs.pipeline.task.RunSettings`.
        model: the network, its values not yet those of the run.
        statistics: of the training data, for terms that have a say in the logits.
        device: where to compute, see `choose_device`.

    Attributes:
        terms: those terms, by name.

    Raises:
        DataError: files of the run are missing or damaged.
        UsageError: the device is not there.
    """

    def __init__(
        self, folder: Path, settings: Any, model: Any, statistics: TrainingStatistics, device: str = "auto"
    ) -> None:
        self.folder, self.settings, self.model = folder, settings, model
        load_tensors(model, folder, MODEL)
        self.terms = _terms_at_test(settings, statistics)
        if self.terms:
            load_tensors(nn.ModuleDict(self.terms), folder, "objectives.safetensors")
        self.device = choose_device(device)
        for module in (model, *self.terms.values()):
            module.to(self.device).eval()


def columns_of(logits: Tensor, names: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Returns logits (n, names) as (n, wanted) float16; an answer that has none gets its row's lowest.

    Raises:
        UsageError: none of the answers has one.
    """
    places = {name: place for place, name in enumerate(names)}
    found = torch.tensor([places.get(name, -1) for name in wanted])
    if not (found >= 0).any():
        raise UsageError("the run knows none of the answers", mend="name a run of the same data")
    lowest = logits.min(1, keepdim=True).values
    return torch.where(found >= 0, logits[:, found.clamp_min(0)], lowest).half()


def described_model(folder: Path, make: Callable[[], Model]) -> Model:
    """Makes the network that a run describes, once its file is found to hold that one: before memory is taken for it.

    Args:
        folder: the run directory.
        make: makes the network by the run's settings and vocabularies.

    Raises:
        DataError: the file is missing or damaged, or holds another model.
    """
    state = read_tensors(folder, MODEL)
    try:
        with torch.device("meta"):
            expected = make().state_dict()
    except NotImplementedError:  # a model of the user's own that computes with what it is made of
        return make()
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"describes a model that cannot be: {reason}", file=folder, mend=MEND) from error
    _require_same(state, expected, folder / MODEL)
    return make()


def read_record(folder: Path, kind: type[Record]) -> Record:
    """Reads what is needed of a run's ``run.json``.

    Raises:
        DataError: it is missing or damaged.
    """
    content, _ = read_content(folder / "run.json", "run record")
    return decode(content, kind, file=folder / "run.json", expected="a run record")


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """Reads the tensors of a file of a run.

    Raises:
        DataError: it is missing or damaged.
    """
    file = folder / name
    if not file.exists():
        raise DataError("has no model yet", file=folder, mend="finish the run with `vqa-gs train`")
    try:
        return load_file(require_file(file, "model"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"is no model file, or a damaged one ({error})", file=file, mend=MEND) from error


def load_tensors(module: nn.Module, folder: Path, name: str) -> None:
    """Loads the tensors of a module from a file of a run, which may hold those of other terms too."""
    file, state = folder / name, read_tensors(folder, name)
    if isinstance(module, nn.ModuleDict):
        state = {key: tensor for key, tensor in state.items() if key.partition(".")[0] in module}
    _require_same(state, module.state_dict(), file)
    module.load_state_dict(state)


def _require_same(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
    difference = tensor_difference(state, expected)
    if difference:
        raise DataError(f"holds another model: {difference}", file=file, mend=MEND)


def _terms_at_test(settings: Any, statistics: TrainingStatistics) -> dict[str, Objective]:
    """Returns the terms of the run that have a say in the logits, as they were before training."""
    terms = {}
    for name in OBJECTIVES:
        kind, own = OBJECTIVES[name], getattr(settings.objectives, name)
        if own.weight and kind.at_test is not Objective.at_test:
            terms[name] = kind(own, statistics)
    return terms
