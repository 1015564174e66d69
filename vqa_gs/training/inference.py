"""Answers of a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from features.store import RegionStore
from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.data.questions import QuestionId, QuestionSet
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.models import MODELS, RegionModel
from vqa_gs.training.batches import inference_batches
from vqa_gs.training.config import RunConfig, load_config
from vqa_gs.training.examples import Examples, make_examples, require_images


@torch.no_grad()
def predict_labels(model: RegionModel, examples: Examples, store: RegionStore, batch_size: int = 512) -> torch.Tensor:
    """Returns the label of the highest logit of every example, (n,) int64 on the CPU.

    Args:
        model: the network; it is put into evaluation mode and back.
        examples: the questions.
        store: the regions of their images.
        batch_size: questions at once.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    labels = torch.empty(len(examples), dtype=torch.int64)
    for rows, regions, tokens in inference_batches(examples, store, batch_size):
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
        self.fingerprint: str = _fingerprint(folder / "run.json")
        self.words = WordVocabulary.load(folder / "words.json")
        self.answers = AnswerVocabulary.load(folder / "answers.json")
        weights = require_file(folder / "model.safetensors", "model")
        try:
            state = load_file(weights)
            settings = self.config.model
            dim = state["mean"].shape[0]
            self.model = MODELS[self.config.architecture](dim, len(self.words), len(self.answers.answers), settings)
            self.model.load_state_dict(state)
        except Exception as error:  # safetensors and torch raise many types for a damaged file
            raise DataError(
                f"does not hold this run's model: {error}", file=weights, mend="train the run again"
            ) from error
        self.model.to(device).eval()

    def answer(self, questions: QuestionSet, store: RegionStore, batch_size: int = 512) -> dict[QuestionId, str]:
        """Returns the answer of each question by its id.

        Raises:
            DataError: an image is not in the store, or the store's regions have another dimension.
        """
        require_dim(store, self.model.region_dim)
        require_images(questions, store)
        examples = make_examples(questions, self.words, None, self.config.data.question_length)
        labels = predict_labels(self.model, examples, store, batch_size)
        return answers_by_id(questions, labels, self.answers)


def _fingerprint(record: Path) -> str:
    """Returns the fingerprint of the features a run was trained with."""
    try:
        return str(json.loads(require_file(record, "run record").read_text(encoding="utf-8"))["features_fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("is not a readable run record", file=record, mend="train the run again") from error


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
