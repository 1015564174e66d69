"""A finished run on visual questions, ready to answer others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.phases import phase
from vqa_gs.contracts import TrainingStatistics
from vqa_gs.data.question_types import QuestionTypes
from vqa_gs.data.questions import QuestionSet
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.eval.grounding_file import GroundingFile
from vqa_gs.eval.results import Result, Top
from vqa_gs.features.store import RegionStore
from vqa_gs.models.vqa import MODELS
from vqa_gs.objectives.choices import Variant
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.pipeline.trained import Trained, columns_of, described_model, read_record
from vqa_gs.tasks.vqa.examples import Examples, make_examples, require_images
from vqa_gs.tasks.vqa.predictor import Predictor


class _Record(msgspec.Struct):
    features_fingerprint: str
    region_dim: Annotated[int, msgspec.Meta(ge=1)]
    precision: str = "no"
    images_shared: bool = False


class Guess(NamedTuple):
    """One answer to a question.

    Attributes:
        answer: the answer.
        score: its probability, the sigmoid of its logit, which is what training fits to the share of annotators.
    """

    answer: str
    score: float


@dataclass
class PairedQuestions:
    """Questions that a trained model is shown with pairs of them, see `PairedExamples`."""

    answers: AnswerVocabulary
    examples: Examples
    pairs: PairTable | None
    pair_rows: NDArray[np.int64]


class TrainedModel(Trained):
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
        record = read_record(folder, _Record)
        self.fingerprint = record.features_fingerprint
        self.words = WordVocabulary.load(folder / "words.json")
        self.answers = AnswerVocabulary.load(folder / "answers.json")
        types = folder / "question_types.json"
        # Runs of earlier versions have none, and no term that asks for them.
        self.question_types = QuestionTypes.load(types) if types.exists() else QuestionTypes([], {})
        sizes = record.region_dim, len(self.words), len(self.answers)
        model = described_model(folder, lambda: MODELS[settings.architecture](*sizes, settings.model))
        statistics = TrainingStatistics(self.answers.answers, self.question_types.names, sizes=model.widths())
        super().__init__(folder, settings, model, statistics, device)
        self.predictor = Predictor(self.model, self.terms.values(), record.precision == "bf16")
        if settings.training.share_images is True or record.images_shared:
            self.share_images()

    def share_images(self) -> None:
        """Lets questions share their images from now on, as runs do that were trained so; see `Predictor`."""
        self.predictor.let_share(self.settings.training.max_questions_per_image)

    def results(
        self,
        questions: QuestionSet,
        store: RegionStore,
        batch_size: int = 512,
        scores: bool = False,
        top_k: int = 0,
    ) -> list[Result]:
        """Answers questions, as the rows of a result file.

        Args:
            questions: the questions; where their ids repeat (edited images), each row names its image.
            store: the regions of their images.
            batch_size: questions at once.
            scores: tell for each answer its probability (the sigmoid of its logit, which is what training fits to the
                share of annotators), and the entropy in nats of the softmax over all answers.
            top_k: how many of the best answers to tell with their logits; 0 for none.

        Raises:
            DataError: an image is not in the store, or the store's regions have another dimension.
        """
        examples = self._examples(questions, store)
        repeated = len(set(questions.question_ids)) < len(questions)
        results: list[Result | None] = [None] * len(questions)
        with phase("answering", len(questions), "questions") as advance:
            for rows, out in self.predictor.outputs(examples, store, batch_size):
                advance(len(out.logits))
                best, labels = out.logits.double().max(1)
                sure = best.sigmoid().tolist()
                shares = torch.log_softmax(out.logits.double(), 1)
                entropy = -(shares.exp() * shares).sum(1)
                top = self._top(out.logits, top_k)
                told = zip(rows.tolist(), labels.tolist(), sure, entropy.clamp_min(0).tolist(), top, strict=True)
                for row, label, score, spread, best_few in told:
                    question = questions.questions[row]
                    results[row] = Result(
                        question.question_id,
                        self.answers.answers[label],
                        score if scores else None,
                        spread if scores else None,
                        question.image_id if repeated else None,
                        best_few,
                    )
        return [result for result in results if result is not None]

    def _top(self, logits: Tensor, count: int) -> Sequence[Top | None]:
        """Returns the best answers of (b, answers) logits."""
        if not count:
            return [None] * len(logits)
        # In float64 as scores are: of equal logits the first answer is taken, here as there.
        values, labels = logits.double().sort(dim=1, descending=True, stable=True)
        texts = self.answers.answers
        found = zip(labels[:, :count].tolist(), values[:, :count].tolist(), strict=True)
        # A logit of float32 has no more than six digits after the point that mean anything.
        return [tuple((texts[label], round(value, 6)) for label, value in zip(*one, strict=True)) for one in found]

    def logits(self, questions: QuestionSet, store: RegionStore, answers: Sequence[str]) -> Tensor:
        """Returns the logits (n, answers) float16 of some answers on the CPU, see `columns_of`."""
        examples = self._examples(questions, store)
        with phase("asking another run", len(questions), "questions") as advance:
            found = torch.empty(len(questions), len(answers), dtype=torch.float16)
            for rows, out in self.predictor.outputs(examples, store, 512):
                advance(len(out.logits))
                found[torch.from_numpy(rows)] = columns_of(out.logits.float().cpu(), self.answers.answers, answers)
        return found

    def guesses(
        self, questions: QuestionSet, store: RegionStore, top: int = 5, batch_size: int = 512
    ) -> list[list[Guess]]:
        """Returns for each question the answers with the highest scores, the best first; see `results`."""
        if top < 1:
            raise UsageError(f"the first {top} answers are none", mend="ask for 1 or more")
        found: list[list[Guess]] = [[] for _ in range(len(questions))]
        for rows, out in self.predictor.outputs(self._examples(questions, store), store, batch_size):
            scores, labels = out.logits.double().sigmoid().topk(min(top, len(self.answers)))
            for row, few, best in zip(rows.tolist(), scores.tolist(), labels.tolist(), strict=True):
                found[row] = [Guess(self.answers.answers[at], score) for at, score in zip(best, few, strict=True)]
        return found

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
