"""The words a model reads and the answers it can give; both are kept with the model as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import DataError, UsageError, found_in
from vqa_gs.common.files import StrPath, write_json
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.normalize import answer_form, tokenize
from vqa_gs.data.questions import Annotation, QuestionId

PADDING = "<pad>"
UNKNOWN = "<unk>"
QUESTION_LENGTH = 14

_VERSION = 1


class _File(msgspec.Struct):
    format: str
    format_version: int
    words: list[str] | None = None
    answers: list[str] | None = None
    rule: str = "official"


def _load(path: StrPath, name: str) -> _File:
    """Reads the file of a vocabulary of ``words`` or ``answers``."""
    content, _ = read_content(path, f"vocabulary of {name}")
    file = decode(content, _File, file=path, expected=f"a saved vocabulary of {name}")
    if file.format != f"vqa-gs-{name}":
        raise DataError(f"the format is {file.format!r}", file=path, mend=f"expected 'vqa-gs-{name}'")
    if file.format_version != _VERSION:
        raise DataError(
            f"format version {file.format_version} is not known", file=path, mend="update vqa-gs to read it"
        )
    if not getattr(file, name):
        raise DataError(f"has no {name}", file=path, mend="build the vocabulary again")
    return file


def _positions(entries: Sequence[str], what: str) -> dict[str, int]:
    index: dict[str, int] = {}
    for position, entry in enumerate(entries):
        if index.setdefault(entry, position) != position:
            raise DataError(f"the {what} {entry!r} appears twice", mend="every entry needs an index of its own")
    return index


class WordVocabulary:
    """Words of questions by index: 0 is padding, 1 stands for every unknown word.

    Args:
        words: the known words without the two special entries; the first gets index 2.

    Attributes:
        words: all entries by index, the special ones included.
        index: the index of each entry.

    Raises:
        DataError: a word appears twice.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = [PADDING, UNKNOWN, *words]
        self.index = _positions(self.words, "word")

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> WordVocabulary:
        """Collects the words of questions: most frequent first, ties in alphabetical order.

        Args:
            texts: the training questions; words that only test questions hold must stay unknown.
            min_count: words met less often stay unknown.

        Raises:
            UsageError: no word is left, or ``min_count`` is below 1.
        """
        if min_count < 1:
            raise UsageError(f"min_count is {min_count}", mend="choose 1 or more")
        counts: Counter[str] = Counter()
        for text, times in Counter(texts).items():  # many questions are asked more than once
            for word in tokenize(text):
                counts[word] += times
        # Questions can hold the special entries as words; they must not take a second index.
        kept = [word for word, count in counts.items() if count >= min_count and word not in (PADDING, UNKNOWN)]
        if not kept:
            raise UsageError(f"no word appears {min_count} times or more", mend="lower min_count")
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: Sequence[str], length: int = QUESTION_LENGTH) -> npt.NDArray[np.int64]:
        """Turns questions into word indices.

        Args:
            texts: n questions.
            length: tokens a question; of longer ones the first ``length`` are kept.

        Returns:
            int64 (n, length); shorter questions have padding in front, so that a recurrent network reads the
            last word last.

        Raises:
            UsageError: ``length`` is below 1.
        """
        if length < 1:
            raise UsageError(f"a question length of {length} tokens", mend="choose 1 or more")
        rows: dict[str, int] = {}
        row_of = [rows.setdefault(text, len(rows)) for text in texts]
        encoded = np.zeros((len(rows), length), np.int64)
        find = self.index.get
        for text, row in rows.items():
            indices = [find(word, 1) for word in tokenize(text)[:length]]
            if indices:
                # A question may say "<pad>"; padding in its midst would cut it in two.
                encoded[row, length - len(indices) :] = [index or 1 for index in indices]
        return encoded[np.array(row_of, np.int64)]

    def save(self, path: StrPath) -> None:
        """Writes the vocabulary as JSON, atomically."""
        write_json(path, {"format": "vqa-gs-words", "format_version": _VERSION, "words": self.words[2:]}, indent=0)

    @classmethod
    def load(cls, path: StrPath) -> WordVocabulary:
        """Reads a vocabulary that `save` wrote.

        Raises:
            DataError: the file is missing, damaged or of another format.
        """
        file = _load(path, "words")
        with found_in(path):
            return cls(file.words or ())


class AnswerVocabulary:
    """The answers a model can give, by label.

    Args:
        answers: the answers in the order of their labels, in the rule's form.
        rule: the scoring rule, which says whether spellings are one answer (see `normalize.answer_form`).

    Attributes:
        answers: the answer of each label.
        index: the label of each answer.
        rule: the scoring rule.

    Raises:
        DataError: there is no answer, or one appears twice.
    """

    def __init__(self, answers: Iterable[str], rule: str = "official") -> None:
        self.answers = list(answers)
        self.rule = rule
        if not self.answers:
            raise DataError("the answer vocabulary is empty", mend="give at least one answer")
        self.index = _positions(self.answers, "answer")

    @classmethod
    def build(
        cls, annotations: Iterable[Annotation], min_questions: int = 9, rule: str = "official"
    ) -> AnswerVocabulary:
        """Collects the majority answers of at least ``min_questions`` distinct questions.

        Most frequent first, ties in alphabetical order, so the same data always give the same labels. Answers
        that normalise to nothing ("the") are left out.

        Args:
            annotations: of the training questions only.
            min_questions: fewer questions than this, and an answer is left out.
            rule: the scoring rule the answers are to be right under.

        Raises:
            UsageError: no answer is left.
        """
        form = answer_form(rule)
        questions: dict[str, set[QuestionId]] = {}
        for annotation in annotations:
            answer = form(annotation.majority)
            if answer:
                questions.setdefault(answer, set()).add(annotation.question_id)
        counts = {answer: len(ids) for answer, ids in questions.items() if len(ids) >= min_questions}
        if not counts:
            most = max(map(len, questions.values()), default=0)
            raise UsageError(
                f"no answer belongs to {min_questions} questions or more, the most frequent one to {most}",
                mend=f"lower min_questions to {most}" if most else "give annotations with answers",
            )
        return cls(sorted(counts, key=lambda answer: (-counts[answer], answer)), rule)

    def __len__(self) -> int:
        return len(self.answers)

    def save(self, path: StrPath) -> None:
        """Writes the vocabulary as JSON, atomically."""
        content = {"format": "vqa-gs-answers", "format_version": _VERSION, "rule": self.rule, "answers": self.answers}
        write_json(path, content, indent=0)

    @classmethod
    def load(cls, path: StrPath) -> AnswerVocabulary:
        """Reads a vocabulary that `save` wrote.

        Raises:
            DataError: the file is missing, damaged or of another format.
        """
        file = _load(path, "answers")
        with found_in(path):
            return cls(file.answers or (), file.rule)
