"""Classifying texts, one or two at a time: what `sentiment` and `nli` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vqa_gs.common.errors import DataError
from vqa_gs.common.lazy import torch
from vqa_gs.data.glove import load_glove
from vqa_gs.data.labelled_texts import as_questions
from vqa_gs.data.vocabulary import AnswerVocabulary
from vqa_gs.eval.evidence import Evidence
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.task import RunSettings, Task
from vqa_gs.pipeline.text_data import Columns, TextData, encode, load_texts, shared_texts, shown
from vqa_gs.requirements import ANOTHER_RUN, PRIOR, direction_of

if TYPE_CHECKING:
    from torch import Tensor

    from vqa_gs.contracts import Outputs, TrainingStatistics
    from vqa_gs.models.text_model import TextModel
    from vqa_gs.pipeline.text_batches import TextBatch, TextSplit
    from vqa_gs.pipeline.trained import Trained
    from vqa_gs.pipeline.trained_texts import TrainedTexts


class TextTask(Task):
    """A task of labelled texts; a subclass names the columns of its files.

    Attributes:
        columns: the columns of texts.
        label: the column of labels.
        labels: the labels there are, in the order of the model's outputs.
    """

    Data = TextData
    models = TEXT_MODELS
    architecture = "bag"
    scoring = "exact"
    provides = frozenset({PRIOR, ANOTHER_RUN, *map(direction_of, ("words", "encoded", "pooled"))})

    columns: ClassVar[tuple[str, ...]]
    label: ClassVar[str]
    labels: ClassVar[tuple[str, ...]]

    def __init__(self, settings: RunSettings) -> None:
        self.settings, config = settings, settings.data
        self.files = Columns(self.columns, self.label, self.labels)
        self.data, self.sources = load_texts(config, self.files, settings.seed)
        self.ordinary, self.pairs = self.data.ordinary, len(self.data.pairs)
        lengths = self.data.examples.lengths()
        self.lengths = lengths[: self.ordinary], lengths[self.data.pairs].max(1)
        validation = self._split("iid_val", config.iid_val)
        tests = [self._split(name, [file]) for name, file in config.tests.items()]
        self.validation, self.tests = validation, list(tests)
        trained = np.union1d(np.arange(self.ordinary), self.data.pairs)
        self.repeated = {
            split.name: shared_texts(split.examples, self.data.examples, trained) for split in (validation, *tests)
        }
        self.notes = [
            f"{count:,} of {len(split.examples):,} texts of {split.name} are training texts too; they are kept"
            for split, count in zip((validation, *tests), self.repeated.values(), strict=True)
            if count
        ]
        for split in (validation, *tests):
            self.sources |= split.questions.sources
        if config.test_selection == "refused":
            _refuse_test_selection(validation, tests)

    def _split(self, name: str, paths: list[str]) -> TextSplit:
        from vqa_gs.pipeline.text_batches import TextSplit

        files = [self.files.read(path) for path in paths]
        questions, pairs = as_questions(files)
        texts = [entry for file in files for entry in file.texts]
        labels = np.array([self.labels.index(label) for file in files for label in file.labels], np.int64)
        read = shown(texts, self.columns, self.settings.data.hidden)
        split = TextSplit(
            name,
            questions,
            self.settings.scoring,
            list(self.labels),
            {},
            Evidence(train=self.data.annotations, pairs={"edits": pairs} if pairs else {}),
            self.settings.data.test_selection == "acknowledged",
            encode(read, labels, self.data.words, self.settings.data.length),
        )
        split.check()
        return split

    def build_model(self) -> TextModel:
        """Returns the network, with word vectors where asked for."""
        settings = self.settings
        torch.manual_seed(settings.seed)
        model: TextModel = TEXT_MODELS[settings.architecture](
            len(self.data.words), len(self.labels), len(self.columns), settings.model
        )
        if settings.data.glove:
            vectors, found = load_glove(settings.data.glove, self.data.words.words, settings.model.word_dim)
            model.load_word_vectors(torch.from_numpy(vectors), torch.from_numpy(found))
        return model

    def statistics(self, model: TextModel) -> TrainingStatistics:
        """Returns the labels and how often each occurs; all texts are of one question type."""
        from vqa_gs.contracts import TrainingStatistics

        counts = np.bincount(self.data.examples.labels[: self.ordinary], minlength=len(self.labels))
        occurrences = torch.from_numpy(counts).float()
        return TrainingStatistics(
            self.labels,
            ("",),
            self.labels,
            lambda: occurrences,
            lambda: (occurrences / self.ordinary).unsqueeze(0),
            model.sizes(),
        )

    def batcher(self, plan: Plan, requirements: frozenset[str]) -> Callable[[int], TextBatch]:
        """Returns what assembles a step's texts."""
        from vqa_gs.pipeline.text_batches import ALIGNED, TextBatcher

        aligns = not requirements.isdisjoint(map(direction_of, ALIGNED))
        return TextBatcher(self.data, len(self.labels), plan, aligns)

    @staticmethod
    def forward(model: TextModel, batch: TextBatch, requirements: frozenset[str]) -> Outputs:
        """Classifies a batch, pair ends and ordinary texts apart from each other."""
        from vqa_gs.pipeline.text_batches import forward

        return forward(model, batch, requirements)

    def save(self, folder: Path) -> None:
        """Writes the words and the labels."""
        self.data.words.save(folder / "words.json")
        AnswerVocabulary(self.labels, "exact").save(folder / "answers.json")

    @classmethod
    def trained(cls, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> TrainedTexts:
        """Opens a finished run."""
        from vqa_gs.pipeline.trained_texts import TrainedTexts

        return TrainedTexts(folder, settings, cls.columns, device)

    def said_by(self, run: Trained) -> Tensor:
        """Returns what another run says of the training texts, edits included."""
        from vqa_gs.pipeline.trained_texts import TrainedTexts

        assert isinstance(run, TrainedTexts)
        return run.logits(self.data.texts, self.labels)

    def facts(self) -> dict[str, Any]:
        """Returns how large the data are, and how many texts of each split are trained on."""
        return {"words": len(self.data.words), "answers": len(self.labels), "texts_in_training": self.repeated}


def _refuse_test_selection(validation: TextSplit, tests: list[TextSplit]) -> None:
    """Refuses an in-domain split that shares texts with a test split: epochs are chosen on it."""
    chosen_on = {question.question for question in validation.questions.questions}
    for split in tests:
        shared = [entry for entry in split.questions.questions if entry.question in chosen_on]
        if shared:
            raise DataError(
                f"this text of the test split {split.name} is in iid_val too ({len(shared):,} are), and epochs are"
                " chosen on iid_val",
                file=next(iter(split.questions.sources)),
                record=f"row {shared[0].question_id}",
                mend="hold iid_val out of training, or set data.test_selection to acknowledged, which metrics tell",
            )
