"""Classifying texts, one or two at a time: what `sentiment` and `nli` share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vqa_gs.common.errors import DataError
from vqa_gs.contracts import (
    PRIOR,
    Batch,
    ModelOutput,
    Objective,
    Outputs,
    TrainingStatistics,
    asked,
    direction_of,
)
from vqa_gs.data.glove import load_glove
from vqa_gs.data.labelled_texts import as_questions
from vqa_gs.data.vocabulary import AnswerVocabulary
from vqa_gs.eval.evidence import Evidence
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.models.text_model import TextModel
from vqa_gs.pipeline.pair_ends import pair_ends
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.scored_split import ScoredSplit
from vqa_gs.pipeline.task import RunSettings, Task
from vqa_gs.pipeline.text_alignment import TextAlignment
from vqa_gs.pipeline.text_data import (
    Columns,
    TextData,
    TextExamples,
    TextTraining,
    encode,
    load_texts,
    shared_texts,
)
from vqa_gs.pipeline.trained_texts import TrainedTexts

_ALIGNED = ("words", "encoded")


@dataclass(kw_only=True)
class TextBatch(Batch):
    """One step's texts, see `Batch`.

    Attributes:
        ends: for each text of a pair's end (2P, length) int64.
        ordinary: for each text of an ordinary example (n - 2P, length) int64, of a length of its own.
        alignment: of the words, of all texts one after the other.
    """

    ends: tuple[Tensor, ...]
    ordinary: tuple[Tensor, ...]


class TextBatcher:
    """Assembles the batches of a `Plan`.

    Args:
        data: examples and pairs.
        answers: number of labels.
        plan: what each step takes.
        aligns: whether the words of pairs are aligned.
    """

    def __init__(self, data: TextTraining, answers: int, plan: Plan, aligns: bool) -> None:
        self.data, self.plan = data, plan
        self.alignment = TextAlignment(data.examples.tokens, data.pairs) if aligns else None
        self.targets = torch.eye(answers)

    def __call__(self, step: int) -> TextBatch:
        """Assembles one step's batch."""
        ordinary, pairs, all_ordinary, all_pairs = self.plan.step(step)
        ends = self.data.pairs[pairs].T.reshape(-1)
        rows = np.concatenate([ends, ordinary])
        tokens = self.data.examples.rows(ends)
        labels = torch.from_numpy(self.data.examples.labels[rows])
        count, world = len(pairs), self.plan.world
        return TextBatch(
            ends=tokens,
            ordinary=self.data.examples.rows(ordinary),
            targets=self.targets[labels],
            labels=labels[: len(ends)],
            alignment=self.alignment.of(pairs, tokens) if self.alignment is not None and count else (),
            weight=torch.ones(len(ends)),
            rows=(2 * all_pairs + all_ordinary) / world,
            end_rows=2 * all_pairs / world,
            epoch=step / self.plan.steps_per_epoch,
            seed=self.plan.step_seed(step),
            examples=torch.from_numpy(rows),
            question_type=torch.zeros(len(rows), dtype=torch.int64),
            answer_type=labels,
        )


def forward(model: TextModel, batch: TextBatch, requirements: frozenset[str]) -> Outputs:
    """Classifies a batch.

    Pair ends go through a graph of their own, so that inner gradients are not taken through ordinary examples.
    """
    parts, ends = [], None
    for tokens in (batch.ends, batch.ordinary):
        if not len(tokens[0]):
            continue
        masks = tuple(text != 0 for text in tokens)
        words = model.embed(torch.cat(tokens, dim=1))
        if tokens is batch.ends and not words.requires_grad:
            words.requires_grad_()  # fixed word vectors have no gradient by themselves
        states = model.encode_all(words, masks)
        pooled = model.pool(states, masks)
        parts.append(ModelOutput(model.classify(pooled), joint=pooled))
        if tokens is batch.ends:
            inputs = {"words": words, "encoded": states, "pooled": pooled}
            targets = batch.targets[: len(batch.labels)]
            ends = pair_ends(batch, parts[0].logits, targets, inputs, requirements, _ALIGNED)
    every = torch.cat([part.logits for part in parts])
    return Outputs(batch, every, batch.targets, torch.ones_like(every[:, 0]), ends, parts)


@dataclass
class TextSplit(ScoredSplit):
    """A split of labelled texts.

    Attributes:
        examples: the texts as tokens.
    """

    examples: TextExamples

    def logits(
        self, model: nn.Module, batch_size: int, rank: int, world: int, terms: Collection[Objective]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yields rows and logits of the texts; see `ScoredSplit`."""
        device = next(model.parameters()).device
        order = np.argsort(self.examples.lengths(), kind="stable")  # texts of one length need no padding
        for start in range(rank * batch_size, len(order), world * batch_size):
            rows = order[start : start + batch_size]
            logits = model(tuple(part.to(device) for part in self.examples.rows(rows)))
            types = torch.zeros(len(rows), dtype=torch.int64)  # texts have one type
            yield torch.from_numpy(rows), asked(terms, ModelOutput(logits), types).logits


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
    provides = frozenset({PRIOR, *map(direction_of, ("words", "encoded", "pooled"))})
    forward = staticmethod(forward)

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
        files = [self.files.read(path) for path in paths]
        questions, pairs = as_questions(files)
        texts = [entry for file in files for entry in file.texts]
        labels = np.array([self.labels.index(label) for file in files for label in file.labels], np.int64)
        split = TextSplit(
            name,
            questions,
            self.settings.scoring,
            list(self.labels),
            {},
            Evidence(train=self.data.annotations, pairs={"edits": pairs} if pairs else {}),
            self.settings.data.test_selection == "acknowledged",
            encode(texts, labels, self.data.words, self.settings.data.length),
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
        aligns = not requirements.isdisjoint(map(direction_of, _ALIGNED))
        return TextBatcher(self.data, len(self.labels), plan, aligns)

    def save(self, folder: Path) -> None:
        """Writes the words and the labels."""
        self.data.words.save(folder / "words.json")
        AnswerVocabulary(self.labels, "exact").save(folder / "answers.json")

    @classmethod
    def trained(cls, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> TrainedTexts:
        """Opens a finished run."""
        return TrainedTexts(folder, settings, cls.columns, device)

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
