"""The type of a question from its first words, as training questions have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import msgspec
import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.files import StrPath, write_json
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.normalize import tokenize

# No official type of VQA v2 has more words than six.
_LONGEST = 8


class _File(msgspec.Struct):
    names: list[str]
    beginnings: dict[str, int]


def _beginnings(words: Iterable[str]) -> list[str]:
    """Returns the first of a question's words, the first two, and so on."""
    return list(accumulate(words, lambda before, word: f"{before} {word}"))


class QuestionTypes:
    """Types by the beginnings of questions; test questions get theirs without a look at their annotations.

    Args:
        names: the types, by code.
        beginnings: the code that goes with a beginning, words with single spaces between them.
    """

    def __init__(self, names: Sequence[str], beginnings: Mapping[str, int]) -> None:
        self.names, self.beginnings = list(names), dict(beginnings)

    @classmethod
    def build(cls, questions: Iterable[str], codes: Iterable[int], names: Sequence[str]) -> QuestionTypes:
        """Learns which beginning means which type.

        A beginning that is a type's own name means that type, as in VQA v2; any other the most common type of the
        training questions that begin so. One that says what the next shorter one says is left out.

        Args:
            questions: n training questions.
            codes: the n codes of their types.
            names: the types, by code.
        """
        counts: dict[str, dict[int, int]] = {}  # half a million of them: counters would take a second
        asked = Counter(zip(questions, codes, strict=True))  # many questions are asked more than once
        begun: Counter[tuple[tuple[str, ...], int]] = Counter()
        for (question, code), times in asked.items():
            begun[tuple(tokenize(question)[:_LONGEST]), code] += times
        for (words, code), times in begun.items():
            for beginning in _beginnings(words):
                found = counts.setdefault(beginning, {})
                found[code] = found.get(code, 0) + times
        own = {" ".join(tokenize(name)): code for code, name in enumerate(names)}
        best = {text: own.get(text, max(found, key=found.__getitem__)) for text, found in counts.items()}
        kept: dict[str, int] = {}
        for text, code in sorted(best.items(), key=lambda item: item[0].count(" ")):
            if _longest(text.rpartition(" ")[0], kept) != code:
                kept[text] = code
        return cls(names, kept)

    def of(self, questions: Sequence[str]) -> NDArray[np.int64]:
        """Returns the codes (n,) of questions; -1 for one that begins as no training question does."""
        codes = {question: self._of(question) for question in set(questions)}
        return np.array([codes[question] for question in questions], np.int64)

    def _of(self, question: str) -> int:
        texts = _beginnings(tokenize(question)[:_LONGEST])
        return next((self.beginnings[text] for text in reversed(texts) if text in self.beginnings), -1)

    def save(self, path: StrPath) -> None:
        """Writes a JSON file."""
        write_json(path, {"names": self.names, "beginnings": self.beginnings}, indent=None)

    @classmethod
    def load(cls, path: StrPath) -> QuestionTypes:
        """Reads what `save` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        content, _ = read_content(path, "question types")
        file = decode(content, _File, file=path, expected="saved question types")
        return cls(file.names, file.beginnings)


def _longest(text: str, known: Mapping[str, int]) -> int:
    """Returns the code of the longest beginning of a text that is known, -1 for none."""
    while text and text not in known:
        text = text.rpartition(" ")[0]
    return known.get(text, -1)
