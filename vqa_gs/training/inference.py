"""Answers of a trained model."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from features.store import RegionStore
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import QuestionId, QuestionSet
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.models import MODELS, RegionModel
from vqa_gs.training.batches import inference_batches
from vqa_gs.training.checkpoint import tensor_difference
from vqa_gs.training.config import RunConfig, load_config
from vqa_gs.training.examples import Examples

_MEND = "train the run again"


class _Features(msgspec.Struct):
    features_fingerprint: str
    region_dim: Annotated[int, msgspec.Meta(ge=1)]


@torch.no_grad()
def predict_labels(
    model: RegionModel, examples: Examples, store: RegionStore, batch_size: int = 512, rank: int = 0, world: int = 1
) -> torch.Tensor:
    """Returns the label of the highest logit of every example, (n,) int64 on the CPU.

    Args:
        model: the network; it is put into evaluation mode and back.
        examples: the questions.
        store: the regions of their images.
        batch_size: questions at once.
        rank: which process this is; it answers its share of the batches, and the labels of the others are 0.
        world: of how many.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    labels = torch.zeros(len(examples), dtype=torch.int64)
    with closing(inference_batches(examples, store, batch_size, rank, world)) as batches:
        for rows, regions, tokens in batches:
            there = regions.to(device)
            out = model(there.features, there.boxes, there.sizes, there.mask, tokens.to(device))
            labels[torch.from_numpy(rows)] = out.logits.argmax(1).cpu()
    model.train(was_training)
    return labels


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


def answers_by_id(questions: QuestionSet, labels: torch.Tensor, answers: AnswerVocabulary) -> dict[QuestionId, str]:
    """Returns question id -> answer text."""
    return {
        question_id: answers.answers[label]
        for question_id, label in zip(questions.question_ids, labels.tolist(), strict=True)
    }
