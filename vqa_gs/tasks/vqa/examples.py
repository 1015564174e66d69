"""From files to examples: vocabularies, tokens, soft targets, pairs as rows of one table of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError, found_in
from vqa_gs.common.files import sha256_file
from vqa_gs.common.phases import phase
from vqa_gs.data.check import missing_half
from vqa_gs.data.edited import read_edited_set
from vqa_gs.data.question_types import QuestionTypes
from vqa_gs.data.questions import QuestionId, QuestionSet, read_question_set, read_questions
from vqa_gs.data.split import hold_out
from vqa_gs.data.targets import SoftTargets, soft_targets
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.alignment.directions import alignment_index
from vqa_gs.pair_builders.table import PairTable, concatenate, read_pair_table
from vqa_gs.tasks.vqa.settings import DataConfig, SplitConfig


@dataclass
class Examples:
    """Questions ready to be batched.

    Attributes:
        image_ids: (n,) object array.
        tokens: (n, length) int64, padding in front.
        targets: soft targets of the n questions, None where answers are not known.
        best: (n,) int64, the label of the highest soft target, -1 for none.
        question_type: (n,) int64, codes: of training questions by their annotations, of others by their first words,
            where -1 stands for none.
        answer_type: (n,) int64, codes.
    """

    image_ids: NDArray[np.object_]
    tokens: torch.Tensor
    targets: SoftTargets | None
    best: NDArray[np.int64]
    question_type: NDArray[np.int64]
    answer_type: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass
class TrainingData:
    """Everything a run trains on and selects by.

    Attributes:
        words: word vocabulary, from training questions only.
        answers: answer vocabulary, from training annotations only.
        examples: training questions first, counterfactual ones after them.
        ordinary: how many of the examples are ordinary training questions.
        validation: the in-domain split.
        pairs: the pair table, None without pairs.
        pair_rows: (P, 2) int64, the examples at the pairs' ends.
        sources: path -> SHA-256 of every file read.
        train: the ordinary training questions with their annotations.
        question_types: the question types of training.
        answer_types: the answer types of training, by code.
        questions: of all examples, in their order.
    """

    words: WordVocabulary
    answers: AnswerVocabulary
    examples: Examples
    ordinary: int
    validation: QuestionSet
    pairs: PairTable | None
    pair_rows: NDArray[np.int64]
    sources: dict[str, str]
    train: QuestionSet
    question_types: QuestionTypes
    answer_types: list[str]
    questions: QuestionSet

    def answer_prior(self) -> torch.Tensor:
        """Returns the mean soft target of each answer by question type, (types, answers) float32.

        A type that only edits have has a prior of zeros. Clark et al. (EMNLP 2019) take the same table as their bias.
        """
        totals = np.zeros((len(self.question_types.names), len(self.answers)))
        types = self.examples.question_type[: self.ordinary]
        assert self.examples.targets is not None
        for start in range(0, self.ordinary, 4096):
            rows = np.arange(start, min(start + 4096, self.ordinary))
            np.add.at(totals, types[rows], self.examples.targets.dense(rows))
        counts = np.bincount(types, minlength=len(totals))
        return torch.from_numpy(totals / np.maximum(counts, 1)[:, None]).float()

    def answer_counts(self) -> torch.Tensor:
        """Returns the sum of each answer's soft targets over ordinary training questions, (answers,) float32."""
        total = np.zeros(len(self.answers))
        assert self.examples.targets is not None
        for start in range(0, self.ordinary, 4096):
            rows = np.arange(start, min(start + 4096, self.ordinary))
            total += self.examples.targets.dense(rows).sum(0, dtype=np.float64)
        return torch.from_numpy(total).float()


def type_codes(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Returns the place of each name among those known, 0 for others."""
    index = {name: code for code, name in enumerate(known)}
    return np.array([index.get(name, 0) for name in names], np.int64)


def make_examples(
    questions: QuestionSet,
    words: WordVocabulary,
    answers: AnswerVocabulary | None,
    length: int,
    question_types: NDArray[np.int64],
    answer_types: Sequence[str] = (),
) -> Examples:
    """Turns questions into tokens and, with an answer vocabulary, annotations into soft targets and codes of types."""
    image_ids = np.empty(len(questions), object)
    image_ids[:] = questions.image_ids
    tokens = torch.from_numpy(words.encode([question.question for question in questions.questions], length))
    targets = None
    if answers is not None and questions.annotations is not None:
        targets = soft_targets(questions.annotations, answers)
    best = np.full(len(questions), -1, np.int64) if targets is None else targets.best()
    if questions.annotations is not None and answer_types:
        kinds = type_codes([annotation.answer_type for annotation in questions.annotations], answer_types)
    else:
        kinds = np.zeros(len(questions), np.int64)
    return Examples(image_ids, tokens, targets, best, question_types, kinds)


def read_split(split: SplitConfig) -> QuestionSet:
    """Reads a split's questions and annotations."""
    return read_question_set(split.questions, split.annotations)


def require_images(questions: QuestionSet, store: RegionStore) -> None:
    """Refuses questions about images that the store does not hold.

    Raises:
        DataError: naming the first such question and how many there are.
    """
    missing = [question for question in questions.questions if question.image_id not in store]
    if missing:
        first = missing[0]
        half = missing_half(questions.questions, {question.image_id for question in missing})
        raise DataError(
            f"image {first.image_id!r} is not in {store.path} ({len(missing):,} of {len(questions):,} questions)"
            + (f"; {half}" if half else ""),
            file=next(iter(questions.sources), None),
            record=f"question {first.question_id!r}",
            mend="convert the features of all images, or name the right store",
        )


def _refuse_shared_questions(train: QuestionSet, other: QuestionSet, name: str) -> None:
    shared = set(train.question_ids) & set(other.question_ids)
    if shared:
        raise DataError(
            f"this question is in the training split too ({len(shared):,} are)",
            file=next(iter(other.sources), None),
            record=f"question {next(iter(shared))!r}",
            mend=f"{name} must hold nothing that is trained on",
        )


def _refuse_test_selection(validation: QuestionSet, config: DataConfig) -> None:
    """Refuses an in-domain split that shares questions with a test split: epochs are chosen on it."""
    if config.test_selection == "acknowledged":
        return
    chosen_on = set(validation.question_ids)
    for name, split in config.tests.items():
        ids = [question.question_id for question in read_questions(split.questions)]
        shared = [question_id for question_id in ids if question_id in chosen_on]
        if shared:
            raise DataError(
                f"this question of the test split {name} is in iid_val too ({len(shared):,} are), and epochs are chosen"
                " on iid_val",
                file=split.questions,
                record=f"question {shared[0]!r}",
                mend="hold iid_val out of training, or set data.test_selection to acknowledged, which metrics tell",
            )


def load_training_data(
    config: DataConfig, store: RegionStore, seed: int, use_pairs: bool, rule: str = "official"
) -> TrainingData:
    """Reads, checks and encodes all that training needs.

    Args:
        config: the run's data section.
        store: the region store.
        seed: seed of the held-out split, where one has to be cut.
        use_pairs: read the pair tables; without it none are needed.
        rule: the scoring rule, which says whether spellings are one answer.

    Raises:
        DataError: files are damaged or do not fit together, a pair table is empty, or the in-domain split shares
            questions with a test split.
    """
    with phase("reading the training questions"):
        train = read_split(config.train)
    sources = dict(train.sources)
    if config.iid_val is not None:
        validation = read_split(config.iid_val)
        sources.update(validation.sources)
        _refuse_shared_questions(train, validation, "iid_val")
    else:
        kept, held = hold_out(train, config.val_fraction, seed)
        train, validation = train.subset(kept), train.subset(held)
    _refuse_test_selection(validation, config)
    edited = None
    if config.counterfactuals and use_pairs:
        edited = read_edited_set(config.counterfactuals.questions, config.counterfactuals.annotations)
    everything = train
    if edited is not None:
        sources.update(edited.sources)
        assert train.annotations is not None and edited.annotations is not None  # noqa: PT018
        everything = QuestionSet(
            train.questions + edited.questions, train.annotations + edited.annotations, train.sources
        )
    for part in (train, validation, *([edited] if edited else [])):
        require_images(part, store)
    assert train.annotations is not None
    # Vocabularies see ordinary training questions only: an answer known from edits alone could not be learnt from
    # ordinary ones, and arms with and without pairs must choose among the same answers.
    with phase(f"encoding {len(everything):,} questions and their answers"):
        words = WordVocabulary.build(question.question for question in train.questions)
        answers = AnswerVocabulary.build(train.annotations, config.min_answer_questions, rule)
        assert everything.annotations is not None
        types = list(dict.fromkeys(annotation.question_type for annotation in everything.annotations))
        kinds = list(dict.fromkeys(annotation.answer_type for annotation in everything.annotations))
        codes = type_codes([annotation.question_type for annotation in everything.annotations], types)
        examples = make_examples(everything, words, answers, config.question_length, codes, kinds)
    texts = [question.question for question in train.questions]
    question_types = QuestionTypes.build(texts, codes[: len(train)].tolist(), types)
    table, rows = None, np.empty((0, 2), np.int64)
    if use_pairs:
        with phase("reading and checking the pairs"):
            tables = [read_pair_table(path, require_pairs=True) for path in config.pairs]
            table = tables[0] if len(tables) == 1 else concatenate(tables)
            table = _of_kinds(table, config)
            table, rows = _usable_pairs(table, everything.question_ids, config, validation)
            _require_regions(table, examples.image_ids[rows], store, config)
            sources.update({path: sha256_file(path) for path in config.pairs})
    return TrainingData(
        words, answers, examples, len(train), validation, table, rows, sources, train, question_types, kinds, everything
    )


def _of_kinds(table: PairTable, config: DataConfig) -> PairTable:
    if not config.pair_kinds:
        return table
    for kind in config.pair_kinds:
        if kind not in table.kinds:
            raise DataError(
                f"holds no pairs of the kind {kind!r}",
                file=", ".join(config.pairs),
                mend=f"data.pair_kinds may name {', '.join(table.kinds)}",
            )
    codes = [table.kinds.index(kind) for kind in config.pair_kinds]
    return table.select(np.isin(table.kind, codes)).require_pairs(", ".join(config.pairs))


def _usable_pairs(
    table: PairTable, question_ids: list[QuestionId], config: DataConfig, validation: QuestionSet
) -> tuple[PairTable, NDArray[np.int64]]:
    row_of = {question_id: row for row, question_id in enumerate(question_ids)}
    held = set(validation.question_ids) if config.iid_val is None else set()
    rows = np.full((len(table), 2), -1, np.int64)
    keep = np.ones(len(table), bool)
    for pair in range(len(table)):
        for end, column in enumerate((table.question_a, table.question_b)):
            question = column[pair]
            question = question if isinstance(question, str) else int(question)
            if question in held:
                keep[pair] = False  # its question was cut off for validation: training must not see it
            elif question not in row_of:
                raise DataError(
                    f"question {question!r} is in no training file",
                    file=", ".join(config.pairs),
                    record=f"pair {pair}",
                    mend="build the pairs from the same questions, or name the edited ones in data.counterfactuals",
                )
            else:
                rows[pair, end] = row_of[question]
    if config.max_pairs:
        keep &= np.cumsum(keep) <= config.max_pairs
    chosen = np.flatnonzero(keep)
    return table.select(chosen).require_pairs(", ".join(config.pairs)), rows[chosen]


def _require_regions(table: PairTable, images: NDArray[np.object_], store: RegionStore, config: DataConfig) -> None:
    """Refuses a table whose alignments do not fit the regions of its images, before an hour of training does."""
    for start in range(0, len(table), 4096):
        pairs = np.arange(start, min(start + 4096, len(table)))
        with found_in(", ".join(config.pairs)):
            alignment_index(table, pairs, store.counts(images[pairs, 0]), store.counts(images[pairs, 1]))
