"""Which region classes a question or an answer names: by name, plural, synonym or nearness of word vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.classes.coco import SYNONYMS

from vqa_gs.data.normalize import normalize_question

Classes = frozenset[int]

Vectors = Callable[[Sequence[str]], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Returns the word vectors (n, d) of n words, and which of them have one (n,)."""

COLOURS = frozenset([
    "red", "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black", "white", "gray", "grey",
    "silver", "gold", "tan", "beige",
])  # fmt: skip

_IRREGULAR = {"person": ("persons",), "sheep": (), "skis": (), "scissors": (), "mouse": (), "bus": (), "police": ()}


def plurals(name: str) -> tuple[str, ...]:
    """Returns the plural spellings of a noun, whose last word is inflected ("hot dogs")."""
    head, _, last = name.rpartition(" ")
    if last in _IRREGULAR:
        forms = _IRREGULAR[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        forms = (last + "es",)
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        forms = (last[:-1] + "ies",)
    elif last.endswith("fe"):
        forms = (last[:-2] + "ves", last + "s")
    else:
        forms = (last + "s", last + "es") if last.endswith("o") else (last + "s",)
    return tuple(f"{head} {form}".strip() for form in forms)


class ClassWords:
    """Finds the classes a text names.

    The longest phrase wins, so that "hot dog" does not name the dog, nor "teddy bear" the bear. A word that no
    name, plural or synonym covers may name the class whose word vector is nearest, if its cosine is ``least`` or
    more.

    Args:
        names: class names; of several separated by commas ("sofa,couch") each names the class.
        vectors: where word vectors come from; None: names, plurals and synonyms only.
        least: the least cosine of a word with a class. Kinds lie beside kinds (cat and dog), so
            only words that are no class name themselves are looked up, and they name at most one class.
    """

    def __init__(self, names: Sequence[str], vectors: Vectors | None = None, least: float = 0.7) -> None:
        self.names = tuple(names)
        self._phrases: dict[tuple[str, ...], set[int]] = {}
        for code, name in enumerate(self.names):
            for own in name.lower().split(","):
                own = " ".join(own.replace("_", " ").split())
                others = [word.replace("_", " ") for word in SYNONYMS.get(own, "").split()]
                for phrase in (own, *others):
                    for form in (phrase, *plurals(phrase)):
                        self._phrases.setdefault(tuple(form.split()), set()).add(code)
        self._phrases.pop((), None)
        self._longest = max(map(len, self._phrases), default=0)
        self._near: dict[str, int] = {}
        self._known: dict[str, Classes] = {}
        self._vectors, self._least = vectors, least

    def learn(self, texts: Iterable[str]) -> None:
        """Looks up the word vectors of all words in some texts, once for all."""
        if self._vectors is None:
            return
        words = {word for text in texts for word in normalize_question(text).split()}
        words = {word for word in words if word.isalpha() and len(word) > 2 and (word,) not in self._phrases}
        unknown = sorted(words - _COMMON - COLOURS - self._near.keys())
        parts = [name.lower().split(",")[0].replace("_", " ").split() for name in self.names]
        asked = list(dict.fromkeys([*unknown, *(word for part in parts for word in part)]))
        found, known = self._vectors(asked)
        # Frequent words share one large component, which alone would make "clear" near "stop sign".
        found = np.where(known[:, None], found - found[known].mean(axis=0), 0)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        at = {word: row for row, word in enumerate(asked)}
        centres = np.stack([found[[at[word] for word in part]].mean(axis=0) for part in parts])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
        cosine = found[: len(unknown)] @ centres.T
        best = cosine.argmax(axis=1)
        for row in np.flatnonzero(known[: len(unknown)] & (cosine.max(axis=1, initial=-1) >= self._least)):
            self._near[unknown[row]] = int(best[row])
        self._known.clear()

    def named(self, text: str) -> Classes:
        """Returns the classes a text names, remembered for every text."""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._find(normalize_question(text).split())
        return found

    def _find(self, words: list[str]) -> Classes:
        found: set[int] = set()
        at = 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                classes = self._phrases.get(tuple(words[at : at + length]))
                if classes:
                    found |= classes
                    at += length
                    break
            else:
                if words[at] in self._near:
                    found.add(self._near[words[at]])
                at += 1
        return frozenset(found)


# Words that GloVe puts near some object although they name none.
_COMMON = frozenset([
    "the", "this", "that", "these", "those", "what", "which", "who", "whom", "whose", "where", "when", "why", "how",
    "there", "here", "are", "was", "were", "have", "has", "had", "does", "did", "can", "could", "would", "should",
    "will", "may", "might", "must", "and", "not", "but", "for", "with", "from", "into", "onto", "over", "under", "near",
    "behind", "front", "back", "top", "bottom", "side", "left", "right", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "many", "much", "some", "any", "all", "both", "none", "nothing", "yes", "about",
    "around", "between", "through", "above", "below", "before", "after", "they", "them", "their", "his", "her", "she",
    "him", "you", "your", "our", "its", "it's", "being", "been", "having", "doing", "made", "make", "see", "look",
    "looking", "seen", "wearing", "holding", "sitting", "standing", "going", "person's", "big", "small", "large",
    "little", "long", "short", "tall", "old", "new", "young", "good", "bad", "same", "different", "first", "last",
    "other", "another", "only", "just", "very", "more", "most", "less", "than", "too", "also", "out", "off", "down",
    "color", "colour", "kind", "type", "sort", "number", "time", "day",
])  # fmt: skip
