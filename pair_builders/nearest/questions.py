"""Which questions say nearly the same: equal content words, a small edit distance, or one content word changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from vqa_gs.data.normalize import normalize_question

# Where something is asked for adds nothing: every question is about its image.
_PLACE = re.compile(
    r"\b(in|of|on|from|within) (the|this|that|these|each) "
    r"(picture|pic|photo|photograph|image|shot|scene|frame|view)s?\b"
    r"|\b(can|could|do) (you|we|i) see\b|\b(is|are) (shown|visible|pictured|present|depicted|displayed|seen|featured)\b"
    r"|\b(shown|visible|pictured|depicted|displayed|here|there)\b"
)
_EMPTY = frozenset([
    "a", "an", "the", "this", "that", "these", "those", "any", "some", "is", "are", "was", "were", "be", "being", "s",
    "it's", "there's",
])  # fmt: skip
_ALIKE = {
    "what's": "what", "where's": "where", "who's": "who", "colour": "color", "colors": "color", "colours": "color",
    "kinds": "kind", "type": "kind", "types": "kind", "sort": "kind",
}  # fmt: skip

# Sorted by their text, and by their reversed text, near texts are near each other: so far apart at the most.
_WINDOW = 6
# A misspelling is so many times rarer than the word.
_RARER = 20
# Typing errors in shorter texts are other words: "is he" and "is she".
_LEAST_LETTERS = 12


@lru_cache(maxsize=1 << 18)
def content_words(text: str) -> tuple[str, ...]:
    """Returns what a question asks, without words that every question may have or lack.

    "How many people are in this picture?", "how many people are there" and "How many people can you see?" all ask
    (how, many, people). Negations, numbers, prepositions and the order of words stay.

    Args:
        text: a question normalised by :func:`vqa_gs.data.normalize.normalize_question`.
    """
    words = _PLACE.sub(" ", text).split()
    kept = tuple(_singular(_ALIKE.get(word, word)) for word in words if word not in _EMPTY)
    return kept or tuple(text.split())


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


class Texts:
    """The distinct texts of n questions.

    Attributes:
        distinct: U normalised texts, sorted.
        of: (n,) int64, each question's text.
    """

    def __init__(self, questions: Sequence[str]) -> None:
        normalised = [normalize_question(text) for text in questions]
        self.distinct = sorted(set(normalised))
        number = {text: at for at, text in enumerate(self.distinct)}
        self.of = np.fromiter((number[text] for text in normalised), np.int64, len(normalised))

    @cached_property
    def words(self) -> NDArray[np.int32]:
        """(U, W) int32, the codes of each text's content words, -1 behind them."""
        codes: dict[str, int] = {}
        content = [[codes.setdefault(word, len(codes)) for word in content_words(text)] for text in self.distinct]
        width = max(map(len, content), default=1)
        words = np.full((len(content), width), -1, np.int32)
        lengths = np.fromiter(map(len, content), np.int64, len(content))
        filled = np.arange(width) < lengths[:, None]
        words[filled] = np.fromiter((word for some in content for word in some), np.int32, int(lengths.sum()))
        return words

    def families(self, edits: int) -> NDArray[np.int64]:
        """Groups texts with equal content words, and those a few edits apart, (U,) codes.

        Args:
            edits: letters inserted, deleted or replaced at the most; 0: equal content words only.
        """
        _, family = np.unique(self.words, axis=0, return_inverse=True)
        family = family.reshape(-1).astype(np.int64)
        if not edits:
            return family
        a, b = self._close(edits)
        slips = self._slips(a, b)
        return _joined(family, family[a[slips]], family[b[slips]])

    def _slips(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Says where two close texts are one question, misspelt or spaced otherwise, (m,).

        "cars" and "cats" are two edits apart and two questions; "bycicle" is a slip, because hardly anybody writes it.
        """
        known = self.words[self.words >= 0]
        often = np.bincount(known, minlength=1)
        changed = self.changed_words(a, b)
        left, right = self.words[a], self.words[b]
        place = (left != right).argmax(axis=1)
        row = np.arange(len(a))
        one, other = often[left[row, place]], often[right[row, place]]
        # Words of unequal number differ by a blank or a word of two letters. The first word is the question's sort.
        rare = (place > 0) & (np.minimum(one, other) * _RARER <= np.maximum(one, other))
        return rare | ((changed != 1) & (left[:, 0] == right[:, 0]))

    def _close(self, edits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Finds texts a few edits apart by comparing neighbours in two sorted orders: n log n."""
        backwards = np.array(sorted(range(len(self.distinct)), key=lambda at: self.distinct[at][::-1]), np.int64)
        sides, others = [], []
        for order in (np.arange(len(self.distinct), dtype=np.int64), backwards):
            for step in range(1, _WINDOW + 1):
                sides.append(order[:-step])
                others.append(order[step:])
        a, b = np.concatenate(sides), np.concatenate(others)
        near = self.within(a, b, edits)
        return a[near], b[near]

    def within(self, a: NDArray[np.int64], b: NDArray[np.int64], edits: int) -> NDArray[np.bool_]:
        """Says which pairs of texts are at most so many edits apart, (m,); short texts are not."""
        lengths = np.fromiter(map(len, self.distinct), np.int64, len(self.distinct))
        near = (np.abs(lengths[a] - lengths[b]) <= edits) & (np.minimum(lengths[a], lengths[b]) >= _LEAST_LETTERS)
        some = np.flatnonzero(near)
        texts = np.array(self.distinct, dtype=object)
        for start in range(0, len(some), 1 << 20):
            block = some[start : start + (1 << 20)]
            distance = process.cpdist(
                texts[a[block]].tolist(), texts[b[block]].tolist(), scorer=Levenshtein.distance, score_cutoff=edits
            )
            near[block] = distance <= edits
        return near

    def changed_words(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns how many content words differ, place by place, (m,); texts of unequal length differ in many."""
        changed = np.empty(len(a), np.int64)
        for start in range(0, len(a), 1 << 18):
            some = slice(start, start + (1 << 18))
            left, right = self.words[a[some]], self.words[b[some]]
            unequal = ((left < 0) != (right < 0)).any(axis=1)
            changed[some] = np.where(unequal, left.shape[1] + 1, (left != right).sum(axis=1))
        return changed


def _joined(codes: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Merges the classes that links (a, b) connect; returns the new class of every code given."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(codes.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)[codes]
