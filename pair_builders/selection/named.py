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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.classes.questions import as_number, asks_colour, asks_number, asks_presence, counted_class
from vqa_gs.pair_builders.classes.regions import RegionClasses
from vqa_gs.pair_builders.classes.words import COLOURS, Classes, ClassWords
from vqa_gs.pair_builders.selection_rule import Candidates, Chosen, selection
from vqa_gs.pair_builders.table.columns import ragged_positions

from vqa_gs.common.errors import UsageError
from vqa_gs.data.glove import load_glove
from vqa_gs.data.normalize import normalize_question


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


_NOTHING = _Entries(np.zeros(0, np.int64), np.zeros(0, np.int64))


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


class _View(NamedTuple):
    """What the readings look at: P pairs.

    Attributes:
        classes: of all regions.
        texts: distinct normalised questions.
        text: (P,) the question at end a.
        alike: (P,) bool, whether the questions at both ends name the same classes.
        answers: distinct answers.
        answer: (P,) at end a, (P,) at end b.
        image: (P,) rows of the store at end a, (P,) at end b.
        in_text: the classes that each text names.
    """

    classes: RegionClasses
    texts: list[str]
    text: NDArray[np.int64]
    alike: NDArray[np.bool_]
    answers: list[str]
    answer: tuple[NDArray[np.int64], NDArray[np.int64]]
    image: tuple[NDArray[np.int64], NDArray[np.int64]]
    in_text: list[Classes]

    def asking(self, what: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Says which pairs' questions ask for something, (P,)."""
        return np.array([what(text) for text in self.texts], bool)[self.text]

    def numbers(self, entries: _Entries, end: int) -> NDArray[np.float32]:
        """Returns how many instances of its class the image at an end has, for each entry."""
        return self.classes.numbers(self.image[end][entries.pair], entries.code)


@selection("named", Settings)
def named(candidates: Candidates, settings: Settings) -> Chosen:
    """Keeps pairs whose question or answers name a region that differs as the answers say."""
    words = ClassWords(candidates.sources.classes.names)
    view = _view(candidates, words)
    found: list[_Entries] = []
    weight = np.ones(len(candidates), np.float32)
    if settings.answer:
        near = words if settings.near >= 1 else _with_vectors(candidates, settings, view.answers)
        ends = _answered(view, _Lists.of([near.named(answer) for answer in view.answers]))
        says = [np.bincount(entries.pair, minlength=len(candidates)) > 0 for entries in ends]
        both = says[0] & says[1]
        weight[~both] = settings.one_end
        found += [entries.take(both[entries.pair]) if settings.both_ends else entries for entries in ends]
    if settings.presence:
        found.append(_presence(view))
        weight[found[-1].pair] = 1
    if settings.count:
        found.append(_counted(view, words, settings.exact))
        weight[found[-1].pair] = 1
    entries = _Entries(*(np.concatenate(parts).astype(np.int64) for parts in zip(_NOTHING, *found, strict=True)))
    keep = np.zeros(len(candidates), bool)
    keep[entries.pair] = True
    regions = _regions_of(view, entries, len(candidates)) if settings.direction == "named" else None
    return Chosen(keep, weight, regions)


def _view(candidates: Candidates, words: ClassWords) -> _View:
    questions = candidates.sources.ends.questions
    numbers: dict[str, int] = {}
    text = np.full(len(questions), -1, np.int64)
    for row in np.unique(np.concatenate([candidates.a, candidates.b])).tolist():
        text[row] = numbers.setdefault(normalize_question(questions[row].question), len(numbers))
    in_text = [words.named(question) for question in numbers]
    kinds = {classes: kind for kind, classes in enumerate(dict.fromkeys(in_text))}
    kind = np.array([kinds[classes] for classes in in_text], np.int64)[text]
    answers, answer_a, answer_b = candidates.answers()
    return _View(
        candidates.sources.classes,
        list(numbers),
        text[candidates.a],
        kind[candidates.a] == kind[candidates.b],
        answers,
        (answer_a, answer_b),
        candidates.images(),
        in_text,
    )


def _with_vectors(candidates: Candidates, settings: Settings, answers: list[str]) -> ClassWords:
    glove = candidates.sources.glove
    if glove is None:
        raise UsageError("nearness of words needs word vectors", mend="name them with --glove, or set near to 1")
    words = ClassWords(candidates.sources.classes.names, lambda some: load_glove(glove, some), settings.near)
    words.learn(answers)
    return words


def _answered(view: _View, in_answer: _Lists) -> list[_Entries]:
    """An answer names what its own image has and the other has not; the answers of end a, then those of end b."""
    colour = view.asking(asks_colour)
    hue = np.array([answer in COLOURS for answer in view.answers], bool)
    ends = []
    for own, other in ((0, 1), (1, 0)):
        some = np.flatnonzero(~(colour & hue[view.answer[own]]))  # an orange sofa is no orange
        entries = in_answer.entries(some, view.answer[own][some])
        ends.append(entries.take((view.numbers(entries, own) != 0) & (view.numbers(entries, other) == 0)))
    return ends


def _presence(view: _View) -> _Entries:
    """The yes-image has what is asked for, the no-image has not."""
    yes, no = (view.answers.index(word) if word in view.answers else -1 for word in ("yes", "no"))
    a, b = view.answer
    asks = view.asking(asks_presence) & view.alike
    forward, backward = asks & (a == yes) & (b == no), asks & (a == no) & (b == yes)
    some = np.flatnonzero(forward | backward)
    entries = _Lists.of(view.in_text).entries(some, view.text[some])
    has = view.numbers(entries, 0) != 0, view.numbers(entries, 1) != 0
    with_it = np.where(forward[entries.pair], has[0], has[1])
    without = np.where(forward[entries.pair], has[1], has[0])
    # Of "a dog on the couch" the no-image may lack either; but nothing that is asked for may be in it alone.
    against = np.bincount(entries.pair[~with_it & without], minlength=len(a)) > 0
    return entries.take(with_it & ~without & ~against[entries.pair])


def _counted(view: _View, words: ClassWords, exact: bool) -> _Entries:
    """The images hold the numbers answered, or at least more where more is answered."""
    some = np.flatnonzero(view.asking(asks_number) & view.alike)
    counted = _Lists.of([counted_class(words, text) for text in view.texts])
    entries = counted.entries(some, view.text[some])
    number = np.array([as_number(answer) for answer in view.answers], np.float64)
    said_a, said_b = (number[answer][entries.pair] for answer in view.answer)
    has_a, has_b = (view.numbers(entries, end).astype(np.float64) for end in (0, 1))
    if exact:
        good = (said_a == has_a) & (said_b == has_b)
    else:
        # Where there are some, but nobody knows how many, there is one at least: enough beside an image of none.
        known = ~(np.isnan(has_a) | np.isnan(has_b)) | (has_a == 0) | (has_b == 0)
        more = np.nan_to_num(has_a, nan=1) - np.nan_to_num(has_b, nan=1)
        good = known & (np.sign(said_a - said_b) == np.sign(more))
    return entries.take(good & np.isfinite(said_a) & np.isfinite(said_b) & (said_a != said_b))


def _regions_of(view: _View, entries: _Entries, pairs: int) -> NDArray[np.object_]:
    """Collects the regions of the classes named, of each pair that names some."""
    regions = np.full(pairs, None, dtype=object)
    if not len(entries.pair):
        return regions
    order = np.argsort(entries.pair, kind="stable")
    owners, starts = np.unique(entries.pair[order], return_index=True)
    first, code = view.classes.first, view.classes.code
    for owner, own in zip(owners.tolist(), np.split(entries.code[order], starts[1:]), strict=True):
        images = view.image[0][owner], view.image[1][owner]
        regions[owner] = tuple(np.flatnonzero(np.isin(code[first[row] : first[row + 1]], own)) for row in images)
    return regions
