"""A finished run on visual questions, ready to answer others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from vqa_gs.common.devices import choose_device
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import require_file
from vqa_gs.common.phases import phase
from vqa_gs.common.tensors import tensor_difference
from vqa_gs.contracts import Objective, TrainingStatistics
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.question_types import QuestionTypes
from vqa_gs.data.questions import QuestionSet
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.eval.grounding_file import GroundingFile
from vqa_gs.eval.results import Result
from vqa_gs.features.store import RegionStore
from vqa_gs.models.vqa import MODELS
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.decision import Variant
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.tasks.vqa.examples import Examples, make_examples, require_images
from vqa_gs.tasks.vqa.predictor import Predictor

_MEND = "train the run again"


class _Record(msgspec.Struct):
    features_fingerprint: str
    region_dim: Annotated[int, msgspec.Meta(ge=1)]
    precision: str = "no"


def _read(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Reads the tensors of a file of a run."""
    file = folder / name
    if not file.exists():
        raise DataError("has no model yet", file=folder, mend="finish the run with `vqa-gs train`")
    try:
        return load_file(require_file(file, "model"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"is no model file, or a damaged one ({error})", file=file, mend=_MEND) from error


def _load(module: nn.Module, folder: Path, name: str) -> None:
    """Loads the tensors of a module from a file of a run, which may hold those of other terms too."""
    file, state = folder / name, _read(folder, name)
    if isinstance(module, nn.ModuleDict):
        state = {key: tensor for key, tensor in state.items() if key.partition(".")[0] in module}
    difference = tensor_difference(state, module.state_dict())
    if difference:
        raise DataError(f"holds another model: {difference}", file=file, mend=_MEND)
    module.load_state_dict(state)


def _refuse_other_sizes(folder: Path, settings: RunSettings, sizes: tuple[int, int, int]) -> None:
    """Compares the model that the run describes with its file before memory is taken for it.

    Raises:
        DataError: the file is missing or damaged, or holds another model.
    """
    state = _read(folder, "model.safetensors")
    try:
        with torch.device("meta"):
            expected = MODELS[settings.architecture](*sizes, settings.model).state_dict()
    except NotImplementedError:  # a model of the user's own that computes with what it is made of
        return
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"describes a model that cannot be: {reason}", file=folder, mend=_MEND) from error
    difference = tensor_difference(state, expected)
    if difference:
        raise DataError(f"holds another model: {difference}", file=folder / "model.safetensors", mend=_MEND)


@dataclass
class PairedQuestions:
    """Questions that a trained model is shown with pairs of them, see `PairedExamples`."""

    answers: AnswerVocabulary
    examples: Examples
    pairs: PairTable | None
    pair_rows: NDArray[np.int64]


class TrainedModel:
    """A finished run: it multiplies in bfloat16 where its training did.

    Args:
        folder: the run directory.
        settings: the run's settings.
        device: where to compute, see `choose_device`.

    Raises:
        DataError: files of the run are missing or damaged.
        UsageError: the device is not there.
    """

    def __init__(self, folder: Path, settings: RunSettings, device: str = "auto") -> None:
        self.settings = settings
        content, _ = read_content(folder / "run.json", "run record")
        record = decode(content, _Record, file=folder / "run.json", expected="a run record")
        self.fingerprint = record.features_fingerprint
        self.words = WordVocabulary.load(folder / "words.json")
        self.answers = AnswerVocabulary.load(folder / "answers.json")
        types = folder / "question_types.json"
        # Runs of earlier versions have none, and no term that asks for them.
        self.question_types = QuestionTypes.load(types) if types.exists() else QuestionTypes([], {})
        sizes = record.region_dim, len(self.words), len(self.answers)
        _refuse_other_sizes(folder, settings, sizes)
        self.model = MODELS[settings.architecture](*sizes, settings.model)
        _load(self.model, folder, "model.safetensors")
        terms = self._terms_at_test()
        if terms:
            _load(nn.ModuleDict(terms), folder, "objectives.safetensors")
        place = choose_device(device)
        for module in (self.model, *terms.values()):
            module.to(place).eval()
        self.predictor = Predictor(self.model, terms.values(), record.precision == "bf16")

    def answer(
        self, questions: QuestionSet, store: RegionStore, batch_size: int = 512, scores: bool = False
    ) -> list[Result]:
        """Answers questions, as the rows of a result file.

        Args:
            questions: the questions; where their ids repeat (edited images), each row names its image.
            store: the regions of their images.
            batch_size: questions at once.
            scores: tell for each answer its probability (the sigmoid of its logit, which is what training fits to the
                share of annotators), and the entropy in nats of the softmax over all answers.

        Raises:
            DataError: an image is not in the store, or the store's regions have another dimension.
        """
        examples = self._examples(questions, store)
        repeated = len(set(questions.question_ids)) < len(questions)
        rows: list[Result] = []
        with phase("answering", len(questions), "questions") as advance:
            for _, out in self.predictor.outputs(examples, store, batch_size):
                advance(len(out.logits))
                best, labels = out.logits.double().max(1)
                sure = best.sigmoid().tolist()
                shares = torch.log_softmax(out.logits.double(), 1)
                entropy = -(shares.exp() * shares).sum(1)
                for label, score, spread in zip(labels.tolist(), sure, entropy.clamp_min(0).tolist(), strict=True):
                    question = questions.questions[len(rows)]
                    rows.append(
                        Result(
                            question.question_id,
                            self.answers.answers[label],
                            score if scores else None,
                            spread if scores else None,
                            question.image_id if repeated else None,
                        )
                    )
        return rows

    def ground(
        self,
        questions: QuestionSet,
        store: RegionStore,
        batch_size: int = 512,
        table: PairTable | None = None,
        partners: QuestionSet | None = None,
    ) -> GroundingFile:
        """Computes attention and gradient by region, and with a pair table the gradient's alignment with the pairs.

        Args:
            questions: the questions; with annotations where there is a pair table.
            store: the regions of their images, and of the partners'.
            batch_size: questions at once.
            table: pairs, of which those with both ends among the questions and partners count.
            partners: questions that occur only as ends of pairs (edited images), with annotations.

        Returns:
            The content of a grounding file, see `Predictor.regions`. The cosines are of the decision function the run
            supervises, or would.

        Raises:
            DataError: an image is not in the store, the store's regions have another dimension, or the pairs are of
                other features.
            UsageError: answers are missing for the pairs, question ids repeat, or no pair has both ends.
        """
        examples = self._examples(questions, store)
        if partners is not None:
            require_images(partners, store)
        if len(set(questions.question_ids)) < len(questions):
            raise UsageError("grounding is told by question id, but ids repeat", mend="give the originals' questions")
        file = self.predictor.regions(examples, store, questions.question_ids, batch_size)
        if table is None:
            return file
        variant: Variant = self.settings.objectives.gradient_supervision.variant
        pairs = self._paired(questions, partners, table)
        assert pairs.pairs is not None
        ends = list(zip(pairs.pairs.question_a.tolist(), pairs.pairs.question_b.tolist(), strict=True))
        return replace(file, pairs=ends, cosine=self.predictor.alignment(pairs, store, variant), function=variant)

    def _terms_at_test(self) -> dict[str, Objective]:
        """Returns the terms of the run that have a say in the logits, as they were before training."""
        statistics = TrainingStatistics(self.answers.answers, self.question_types.names, sizes=self.model.widths())
        terms = {}
        for name in OBJECTIVES:
            kind, settings = OBJECTIVES[name], getattr(self.settings.objectives, name)
            if settings.weight and kind.at_test is not Objective.at_test:
                terms[name] = kind(settings, statistics)
        return terms

    def _examples(self, questions: QuestionSet, store: RegionStore) -> Examples:
        if store.dim != self.model.region_dim:
            raise DataError(
                f"its regions have {store.dim} numbers, the model's {self.model.region_dim}",
                file=store.path,
                mend="name the store the run was trained with",
            )
        require_images(questions, store)
        return self._encoded(questions, None)

    def _encoded(self, questions: QuestionSet, answers: AnswerVocabulary | None) -> Examples:
        types = self.question_types.of([question.question for question in questions.questions])
        return make_examples(questions, self.words, answers, self.settings.data.question_length, types)

    def _paired(self, questions: QuestionSet, partners: QuestionSet | None, table: PairTable) -> PairedQuestions:
        everything = questions
        if questions.annotations is None or (partners is not None and partners.annotations is None):
            raise UsageError("the direction of a pair needs the answers", mend="give the annotations too")
        if partners is not None:
            assert partners.annotations is not None
            everything = QuestionSet(
                questions.questions + partners.questions, questions.annotations + partners.annotations, {}
            )
        row_of = {question_id: row for row, question_id in enumerate(everything.question_ids)}
        ends = list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))
        chosen = np.array([at for at, (a, b) in enumerate(ends) if a in row_of and b in row_of], np.int64)
        if not len(chosen):
            raise UsageError(
                "no pair of the table has both questions here", mend="give the questions the pairs were built from"
            )
        rows = np.array([(row_of[ends[at][0]], row_of[ends[at][1]]) for at in chosen], np.int64)
        examples = self._encoded(everything, self.answers)
        return PairedQuestions(self.answers, examples, table.select(chosen), rows)
