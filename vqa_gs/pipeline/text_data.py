"""From files of labelled texts to examples: vocabulary, tokens, pairs of originals and their edits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.checks import at_least
from vqa_gs.common.errors import DataError, UsageError, found_in
from vqa_gs.common.lazy import torch
from vqa_gs.data.labelled_texts import GROUP, LabelledTexts, annotate, plain_words, read_labelled_texts
from vqa_gs.data.questions import Annotation
from vqa_gs.data.vocabulary import WordVocabulary
from vqa_gs.pair_builders.shuffle import shuffle_partners
from vqa_gs.pair_builders.table import PairTable


@dataclass
class TextData:
    """Where a text task's data are and how they become examples.

    Attributes:
        train: the originals to train on, tab-separated with a header.
        iid_val: files held out from training; epochs are chosen by the accuracy on all of them together.
        tests: files of splits by name, looked at once, after training.
        pairs: files of edits. Rows with one ``batch_id`` are edits of the first of them; in a file without that column
            the edits stand in the order of the originals, equally many for each.
        partners: ``edited`` pairs an original with its own edits; ``shuffled`` is the control that deals them out
            anew: the same texts, each with a wrong partner of the same label as its own.
        max_pairs: use only the first so many pairs; 0 uses all.
        hidden: columns whose texts no model reads, as where what the hypothesis alone tells is to be known.
        length: words a text is cut to.
        min_word_count: a word enters the vocabulary when training texts hold it so often.
        test_selection: ``refused``, or ``acknowledged`` to let iid_val share texts with a test split.
        glove: word vectors: a ``.txt``, ``.npz`` or ``.npy`` file, or an installed package's name.
    """

    train: str
    iid_val: list[str]
    tests: dict[str, str] = field(default_factory=dict)
    pairs: list[str] = field(default_factory=list)
    partners: Literal["edited", "shuffled"] = "edited"
    max_pairs: int = 0
    hidden: list[str] = field(default_factory=list)
    length: int = 350
    min_word_count: int = 1
    test_selection: Literal["refused", "acknowledged"] = "refused"
    glove: str | None = None

    def __post_init__(self) -> None:
        at_least(self, "data", 1, "length", "min_word_count")
        at_least(self, "data", 0, "max_pairs")
        if not self.iid_val:
            raise UsageError("data.iid_val names no file: epochs have to be chosen on something held out")

    def stores(self) -> list[str]:
        """Returns the region stores: none."""
        return []

    def files(self) -> list[str]:
        """Returns the files a run reads; word vectors, which may be a package's, are left out."""
        return [self.train, *self.iid_val, *self.tests.values(), *self.pairs]


@dataclass(frozen=True)
class Columns:
    """The columns of a task's files.

    Attributes:
        texts: the columns of texts.
        label: the column of labels.
        labels: the labels there are.
    """

    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...]

    def read(self, path: str) -> LabelledTexts:
        """Reads a file."""
        return read_labelled_texts(path, self.texts, self.label, self.labels)


@dataclass
class TextExamples:
    """Texts as tokens.

    Attributes:
        tokens: for each text of an example (premise, hypothesis) (n, length) int64, padding in front.
        labels: (n,) int64.
    """

    tokens: tuple[torch.Tensor, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def lengths(self) -> NDArray[np.int64]:
        """Returns the number of words of each example, (n,), all its texts together."""
        return np.sum([(part != 0).sum(1).numpy() for part in self.tokens], axis=0)

    def rows(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        """Returns some rows' tokens without the padding that all of them share; one column at the least."""
        chosen = [part[torch.from_numpy(rows)] for part in self.tokens]
        widths = [max(1, int((part != 0).any(0).sum())) for part in chosen]
        return tuple(part[:, part.shape[1] - width :] for part, width in zip(chosen, widths, strict=True))


@dataclass
class TextTraining:
    """What a text task trains on.

    Attributes:
        words: word vocabulary, from training texts, edited ones included.
        examples: the originals first, ends of pairs after them.
        ordinary: how many originals.
        pairs: (P, 2) int64, rows of the examples: originals and partners.
        annotations: the originals' labels, as annotations.
        texts: of the examples, hidden ones included.
    """

    words: WordVocabulary
    examples: TextExamples
    ordinary: int
    pairs: NDArray[np.int64]
    annotations: Sequence[Annotation]
    texts: Sequence[tuple[str, ...]]


def shown(texts: Sequence[tuple[str, ...]], columns: Sequence[str], hidden: Collection[str]) -> list[tuple[str, ...]]:
    """Returns texts with empty ones in the place of those in hidden columns.

    Raises:
        UsageError: there is no such column, or no other one.
    """
    strange = next((name for name in hidden if name not in columns), None)
    if strange is not None or (hidden and set(columns) <= set(hidden)):
        raise UsageError(
            f"data.hidden: there is no column {strange!r}" if strange else "data.hidden leaves no text to read",
            mend=f"name some of {', '.join(columns)}, and not all",
        )
    if not hidden:
        return list(texts)
    kept = [name not in hidden for name in columns]
    return [tuple(text if keep else "" for text, keep in zip(entry, kept, strict=True)) for entry in texts]


def edited_pairs(originals: LabelledTexts, edits: LabelledTexts) -> tuple[list[int], list[int]]:
    """Finds the pairs in a file of edits.

    Args:
        originals: the training originals.
        edits: with groups, the first row of each being the original; without, in the order of the originals.

    Returns:
        Rows at ends a and b: of the edits' file with groups, else a's of the originals and b's of the edits.

    Raises:
        DataError: a group has one row, or the file does not follow the originals' order.
    """
    if edits.groups is not None:
        first: dict[str, int] = {}
        pairs = []
        for row, group in enumerate(edits.groups):
            if first.setdefault(group, row) != row:
                pairs.append((first[group], row))
        if not pairs:
            raise DataError("no two rows have one batch_id", file=edits.file, mend="is it a file of pairs?")
        return [a for a, _ in pairs], [b for _, b in pairs]
    each, left = divmod(len(edits), len(originals))
    if left or not each:
        raise DataError(
            f"{len(edits):,} edits of {len(originals):,} originals in {originals.file}, not equally many for each",
            file=edits.file,
            mend=f"give edits in the order of the originals, or a column {GROUP}",
        )
    a = [row // each for row in range(len(edits))]
    shared = sum(bool(set(map(plain_words, originals.texts[one])) & set(map(plain_words, edits.texts[other])))
                 for other, one in enumerate(a))  # fmt: skip
    if shared < 0.9 * len(edits):
        raise DataError(
            f"only {shared:,} of {len(edits):,} edits share a text with the original they would belong to",
            file=edits.file,
            mend=f"give edits in the order of {originals.file}, or a column {GROUP}",
        )
    return a, list(range(len(edits)))


def load_texts(config: TextData, columns: Columns, seed: int) -> tuple[TextTraining, dict[str, str]]:
    """Reads all a text task trains on.

    Args:
        config: the run's data section.
        columns: the task's columns.
        seed: of the dealing of shuffled partners.

    Returns:
        The training data, and path -> SHA-256 of the files.

    Raises:
        DataError: a file is damaged, or pairs cannot be found in it.
    """
    originals = columns.read(config.train)
    sources = {config.train: originals.sha256}
    texts, labels = list(originals.texts), list(originals.labels)
    ends: list[tuple[int, int]] = []
    for path in config.pairs:
        edits = columns.read(path)
        sources[path] = edits.sha256
        a, b = edited_pairs(originals, edits)
        base = len(texts)
        own = base if edits.groups is not None else 0
        ends += [(own + one, base + other) for one, other in zip(a, b, strict=True)]
        texts += edits.texts
        labels += edits.labels
    if len(config.pairs) > 1:
        # The first k pairs of several files should not all be of the first file.
        ends = [ends[at] for at in np.random.default_rng([seed, 78]).permutation(len(ends)).tolist()]
    if config.max_pairs:
        ends = ends[: config.max_pairs]
    read = shown(texts, columns.texts, config.hidden)
    words = WordVocabulary.build(
        (plain_words(text) for entry in read for text in entry), min_count=config.min_word_count
    )
    codes = np.array([columns.labels.index(label) for label in labels], np.int64)
    pairs = np.array(ends, np.int64).reshape(-1, 2)
    if config.partners == "shuffled" and len(pairs):
        pairs[:, 1] = _dealt_out(pairs, codes, seed, config.pairs[0])
    annotations = annotate(originals)
    examples = encode(read, codes, words, config.length)
    return TextTraining(words, examples, len(originals), pairs, annotations, texts), sources


def _dealt_out(pairs: NDArray[np.int64], labels: NDArray[np.int64], seed: int, file: str) -> NDArray[np.int64]:
    """Returns partners dealt out anew among the pairs that have the same two labels: only the relation is wrong."""
    partners = pairs[:, 1].copy()
    kind = labels[pairs[:, 0]] * (labels.max() + 1) + labels[pairs[:, 1]]
    for code in np.unique(kind):
        rows = np.flatnonzero(kind == code)
        with found_in(file):
            table = PairTable.of_one_kind("edited", pairs[rows, 0], pairs[rows, 1])
            partners[rows] = partners[rows[shuffle_partners(table, seed)]]
    return partners


def encode(
    texts: Sequence[tuple[str, ...]], labels: NDArray[np.int64], words: WordVocabulary, length: int
) -> TextExamples:
    """Turns texts into tokens."""
    parts = zip(*texts, strict=True)
    tokens = tuple(torch.from_numpy(words.encode([plain_words(text) for text in part], length)) for part in parts)
    return TextExamples(tokens, labels)


def shared_texts(examples: TextExamples, training: TextExamples, rows: NDArray[np.int64]) -> int:
    """Counts examples whose texts are training texts too, word by word as the model reads them.

    Args:
        examples: of a split.
        training: what is trained on.
        rows: (n,) the rows of it that are.
    """

    def keys(of: TextExamples) -> list[bytes]:
        return [row.tobytes() for row in np.concatenate([part.numpy() for part in of.tokens], axis=1)]

    known = keys(training)
    trained = {known[row] for row in rows.tolist()}
    return sum(key in trained for key in keys(examples))
