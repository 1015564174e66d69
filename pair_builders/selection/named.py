"""Changes that the question or the two answers name: the pairs that say what makes the difference.

Three readings of a pair name a region that differs, and say how it has to differ:

| reading | example | what has to be so |
|---|---|---|
| `answer` | "What is on the plate?" pizza / cake | an answer names a class its own image has and the other has not |
| `presence` | "Is there a dog?" yes / no | the class asked for is in the yes-image and not in the no-image |
| `count` | "How many dogs are there?" 3 / 1 | the images hold the numbers answered, as far as these are known |

The direction is then about the regions of the classes named, and about nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pair_builders._columns import ragged_positions
from pair_builders.class_words import COLOURS, Classes, ClassWords
from pair_builders.region_classes import RegionClasses
from pair_builders.selection import Candidates, Chosen, selection
from vqa_gs.common.errors import UsageError
from vqa_gs.data.glove import load_glove
from vqa_gs.data.normalize import normalize_question

# What a question about presence begins with; what it asks for is all it names.
_PRESENCE = re.compile(
    r"(is|are|was|were) there |(is|was) (this|that|it) (a|an|the) |(are|were) (these|those|they) "
    r"|(do|can|could) (you|we) see |does (this|the) (picture|photo|image|scene|room) (have|show|contain) "
)
_COUNT = re.compile(r"(how many|what (is the )?(total )?number of|how much) ")
_COLOUR = re.compile(r"\bcolou?rs?\b")

MAX_NUMBER = 1000


@dataclass(frozen=True)
class Settings:
    """Which readings count.

    Args:
        answer: take pairs whose answers name a region.
        presence: take yes/no pairs whose question asks whether something is there.
        count: take pairs of numbers whose question asks how many there are.
        both_ends: for the reading `answer`: both answers have to name a region.
        exact: numbers answered have to be those of the regions; else it is enough that the larger answer has more.
        near: the least cosine of an answer's word with the class it names; 1: only its names. Needs --glove.
        direction: `named`: only the regions of the classes named have a direction; `all`: what the builder chose.
        one_end: factor of the weight where only one of two answers names a region.
    """

    answer: bool = True
    presence: bool = True
    count: bool = True
    both_ends: bool = False
    exact: bool = False
    near: float = 1.0
    direction: Literal["named", "all"] = "named"
    one_end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.near <= 1:
            raise UsageError(f"near is {self.near}", mend="give a cosine above 0, at most 1")
        if not 0 <= self.one_end < float("inf"):
            raise UsageError(f"one_end is {self.one_end}", mend="give a factor of 0 or more")


class _Entries(NamedTuple):
    """A class each that is said to make the difference of a pair."""

    pair: NDArray[np.int64]
    code: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> _Entries:
        return _Entries(self.pair[which], self.code[which])


class _Lists(NamedTuple):
    """Classes named by each of some texts, end to end."""

    first: NDArray[np.int64]
    code: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[Classes]) -> _Lists:
        first = np.cumsum([0, *map(len, lists)]).astype(np.int64)
        return cls(first, np.array([code for some in lists for code in sorted(some)], np.int64))

    def entries(self, pairs: NDArray[np.int64], texts: NDArray[np.int64]) -> _Entries:
        """Returns the classes that text ``texts[i]`` names, for pair ``pairs[i]``."""
        bounds, positions = ragged_positions(self.first, texts)
        return _Entries(np.repeat(pairs, np.diff(bounds)), self.code[positions])


@selection("named", Settings)
def named(candidates: Candidates, settings: Settings) -> Chosen:
    """Keeps pairs whose question or answers name a region that differs as the answers say."""
    classes = candidates.sources.classes
    questions = candidates.sources.ends.questions
    asked = np.unique(np.concatenate([candidates.a, candidates.b])).tolist()
    texts: dict[str, int] = {}
    text_of = np.full(len(questions), -1, np.int64)
    for row in asked:
        text_of[row] = texts.setdefault(normalize_question(questions[row].question), len(texts))
    answers, answer_a, answer_b = candidates.answers()
    words = ClassWords(classes.names)
    in_question = _Lists.of([words.named(text) for text in texts])
    near = words if settings.near >= 1 else _with_vectors(candidates, settings, answers)
    in_answer = _Lists.of([near.named(answer) for answer in answers])
    colour = np.array([_COLOUR.search(text) is not None for text in texts], bool)[text_of[candidates.a]]
    image_a, image_b = candidates.images()
    everyone = np.arange(len(candidates), dtype=np.int64)
    found: list[_Entries] = []
    weight = np.ones(len(candidates), np.float32)

    if settings.answer:
        hue = np.array([answer in COLOURS for answer in answers], bool)
        ends = []
        for own, other, code in ((image_a, image_b, answer_a), (image_b, image_a, answer_b)):
            some = everyone[~(colour & hue[code])]
            entries = in_answer.entries(some, code[some])
            here = classes.numbers(own[entries.pair], entries.code) != 0
            there = classes.numbers(other[entries.pair], entries.code) != 0
            ends.append(entries.take(here & ~there))
        says = [np.bincount(entries.pair, minlength=len(candidates)) > 0 for entries in ends]
        both = says[0] & says[1]
        if settings.both_ends:
            ends = [entries.take(both[entries.pair]) for entries in ends]
        weight[~both] = settings.one_end
        found += ends
    if settings.presence:
        asks = np.array([_PRESENCE.match(text) is not None for text in texts], bool)
        found.append(_presence(answers, answer_a, answer_b, asks[text_of[candidates.a]], classes, image_a, image_b,
                               in_question, text_of[candidates.a]))  # fmt: skip
        weight[found[-1].pair] = 1
    if settings.count:
        counted = np.array([_COUNT.match(text) is not None for text in texts], bool)
        first_named = _Lists.of([_first(words, text) for text in texts])
        entries = first_named.entries(some := everyone[counted[text_of[candidates.a]]], text_of[candidates.a[some]])
        number = np.array([_number(answer) for answer in answers], np.float64)
        found.append(_counted(entries, number[answer_a], number[answer_b], classes, image_a, image_b, settings.exact))
        weight[found[-1].pair] = 1
    pair = np.concatenate([entries.pair for entries in found] or [everyone[:0]])
    code = np.concatenate([entries.code for entries in found] or [everyone[:0]])
    keep = np.zeros(len(candidates), bool)
    keep[pair] = True
    regions = None
    if settings.direction == "named":
        regions = _regions_of(classes, pair, code, image_a, image_b, len(candidates))
    return Chosen(keep, weight, regions)


def _with_vectors(candidates: Candidates, settings: Settings, answers: list[str]) -> ClassWords:
    glove = candidates.sources.glove
    if glove is None:
        raise UsageError("nearness of words needs word vectors", mend="name them with --glove, or set near to 1")
    words = ClassWords(candidates.sources.classes.names, lambda some: load_glove(glove, some), settings.near)
    words.learn(answers)
    return words


def _first(words: ClassWords, text: str) -> Classes:
    """Returns the class a counting question counts: the first that is named after "how many"."""
    match = _COUNT.match(text)
    if match is None:
        return frozenset()
    rest = text[match.end() :].split()
    for end in range(1, min(len(rest), 4) + 1):
        head = words.named(" ".join(rest[:end]))
        if head:
            longer = words.named(" ".join(rest[: end + 1]))
            # "hot dogs" after "hot", "tennis rackets": the longer phrase replaces the shorter.
            return longer if len(longer) == 1 else head if len(head) == 1 else frozenset()
    return frozenset()


def _number(answer: str) -> float:
    return float(answer) if answer.isdecimal() and int(answer) <= MAX_NUMBER else np.nan


def _presence(
    answers: list[str],
    answer_a: NDArray[np.int64],
    answer_b: NDArray[np.int64],
    asks: NDArray[np.bool_],
    classes: RegionClasses,
    image_a: NDArray[np.int64],
    image_b: NDArray[np.int64],
    in_question: _Lists,
    text: NDArray[np.int64],
) -> _Entries:
    yes, no = (answers.index(word) if word in answers else -1 for word in ("yes", "no"))
    forward = asks & (answer_a == yes) & (answer_b == no)
    backward = asks & (answer_a == no) & (answer_b == yes)
    some = np.flatnonzero(forward | backward)
    entries = in_question.entries(some, text[some])
    with_it = np.where(forward, image_a, image_b)[entries.pair]
    without = np.where(forward, image_b, image_a)[entries.pair]
    here = classes.numbers(with_it, entries.code) != 0
    there = classes.numbers(without, entries.code) != 0
    # Of "a dog on the couch" the no-image may lack either; but nothing that is asked for may be in it alone.
    against = np.bincount(entries.pair[~here & there], minlength=len(text)) > 0
    return entries.take(here & ~there & ~against[entries.pair])


def _counted(
    entries: _Entries,
    number_a: NDArray[np.float64],
    number_b: NDArray[np.float64],
    classes: RegionClasses,
    image_a: NDArray[np.int64],
    image_b: NDArray[np.int64],
    exact: bool,
) -> _Entries:
    said_a, said_b = number_a[entries.pair], number_b[entries.pair]
    has_a = classes.numbers(image_a[entries.pair], entries.code).astype(np.float64)
    has_b = classes.numbers(image_b[entries.pair], entries.code).astype(np.float64)
    if exact:
        good = (said_a == has_a) & (said_b == has_b)
    else:
        # Where there are some, but nobody knows how many, there is one at least: enough beside an image of none.
        least_a, least_b = np.where(np.isnan(has_a), 1, has_a), np.where(np.isnan(has_b), 1, has_b)
        known = ~(np.isnan(has_a) | np.isnan(has_b)) | (has_a == 0) | (has_b == 0)
        good = known & (np.sign(said_a - said_b) == np.sign(least_a - least_b))
    return entries.take(good & (said_a != said_b) & np.isfinite(said_a) & np.isfinite(said_b))


def _regions_of(
    classes: RegionClasses,
    pair: NDArray[np.int64],
    code: NDArray[np.int64],
    image_a: NDArray[np.int64],
    image_b: NDArray[np.int64],
    pairs: int,
) -> NDArray[np.object_]:
    """Collects the regions of the classes named, of each pair that names some."""
    regions = np.full(pairs, None, dtype=object)
    order = np.argsort(pair, kind="stable")
    owners, starts = np.unique(pair[order], return_index=True)
    for owner, own in zip(owners.tolist(), np.split(code[order], starts[1:]), strict=True):
        ends = []
        for image in (image_a[owner], image_b[owner]):
            here = classes.code[classes.first[image] : classes.first[image + 1]]
            ends.append(np.flatnonzero((here[:, None] == own).any(axis=1)))
        regions[owner] = tuple(ends)
    return regions
