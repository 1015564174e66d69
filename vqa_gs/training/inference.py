"""Answers of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.features.store import RegionStore
from vqa_gs.models import MODELS
from vqa_gs.training.checkpoint import tensor_difference
from vqa_gs.training.config import RunConfig, load_config

_MEND = "train the run again"


class _Features(msgspec.Struct):
    features_fingerprint: str
    region_dim: Annotated[int, msgspec.Meta(ge=1)]


class TrainedModel:
    """A finished run, ready to answer.

    Args:
        run: the run directory.
        device: where to compute.

    Raises:
        DataError: files of the run are missing or damaged.
    """

    def __init__(self, run: StrPath, device: str = "cpu") -> None:
        folder = Path(run)
        if not folder.is_dir():
            raise DataError("no such run directory", file=folder, mend="train one with `vqa-gs train`")
        self.config: RunConfig = load_config(folder / "config.yaml")
        if self.config.task != "vqa":
            raise UsageError(f"{folder} learnt the task {self.config.task}, which answers no questions about images")
        self.fingerprint, dim = _features(folder / "run.json")
        self.words = WordVocabulary.load(folder / "words.json")
        self.answers = AnswerVocabulary.load(folder / "answers.json")
        weights = folder / "model.safetensors"
        if not weights.exists():
            raise DataError("has no model yet", file=folder, mend="finish the run with `vqa-gs train`")
        self.model = MODELS[self.config.architecture](dim, len(self.words), len(self.answers), self.config.model)
        try:
            state = load_file(weights)
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"is no model file, or a damaged one ({error})", file=weights, mend=_MEND) from error
        difference = tensor_difference(state, self.model.state_dict())
        if difference:
            raise DataError(f"holds another model: {difference}", file=weights, mend=_MEND)
        self.model.load_state_dict(state)
        self.model.to(device).eval()


def _features(record: Path) -> tuple[str, int]:
    """Returns fingerprint and dimension of the features a run was trained with."""
    content, _ = read_content(record, "run record")
    found = decode(content, _Features, file=record, expected="a run record")
    return found.features_fingerprint, found.region_dim


def require_dim(store: RegionStore, dim: int) -> None:
    """Refuses a store whose regions are not those of the model."""
    if store.dim != dim:
        raise DataError(
            f"its regions have {store.dim} numbers, the model's {dim}",
            file=store.path,
            mend="name the store the run was trained with",
        )
