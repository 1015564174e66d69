"""Questions asked again about other images whose objects give the answer: counterfactuals from annotated objects.

After *Discovering the Unknown Knowns: Turning Implicit Knowledge in the Dataset into Explicit Training Examples for
Visual Question Answering* (Kil et al., EMNLP 2021), narrowed to what the objects of an image decide. A question is used
only where its own answer says what the objects of its own image say:

| asked | its own answer and image | asked again about | answer |
|---|---|---|---|
| "Is there a dog?" | yes, and there is one | an image without | no |
| the same, and nothing but the class is asked for | no, and there is none | an image with one | yes |
| "How many dogs are there?", nothing but the class | 3, and there are 3 | an image with another known number | that |
| "How many white dogs are there?" | 2, and there is one at least | an image without | 0 |
| "What animal is this?" | cat, the one class of animals in it | an image with one other class of animals | that class |

Of the images that would do, those are taken that have most other classes in common with the question's own: the
difference is then little more than what the question is about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.classes.coco import GROUPS
from vqa_gs.pair_builders.classes.questions import as_number, asks_number, asks_presence, counted_class
from vqa_gs.pair_builders.classes.regions import RegionClasses
from vqa_gs.pair_builders.classes.words import ClassWords, plurals
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionId, QuestionSet

ANNOTATORS = 10
# Images looked at for each question, of all that would do.
_LOOKED_AT = 64
_MOST = 20

# What may stand in a question beside the class without narrowing what is asked for.
_FILLER = frozenset([
    "a", "an", "the", "any", "some", "of", "is", "are", "was", "were", "there", "do", "does", "did", "you", "we", "see",
    "can", "could", "in", "on", "this", "that", "these", "those", "it", "they", "picture", "photo", "image",
    "photograph", "scene", "shown", "visible", "seen", "here", "present", "have", "has", "show", "contain",
    "how", "many", "number", "total", "what", "exactly", "all", "together", "pictured",
])  # fmt: skip
_KIND = frozenset(["type", "kind", "sort", "species", "name", "breed"])


@dataclass(frozen=True)
class Settings:
    """How many questions are made.

    Args:
        images: other images a question is asked about, at most.
        of_each: made questions of one question type and answer, at most.
        presence: ask again whether something is there.
        count: ask again how many there are.
        kind: ask again which of a group (animals, vehicles, ...) it is.
    """

    images: int = 2
    of_each: int = 150
    presence: bool = True
    count: bool = True
    kind: bool = True

    def __post_init__(self) -> None:
        if self.images < 1 or self.of_each < 1:
            raise UsageError("a question is asked about no other image", mend="give counts of 1 or more")


class Propagated(NamedTuple):
    """Questions asked again.

    Attributes:
        questions: with annotations, ten equal answers each.
        pairs: (own question id, made question id).
        made: how many each rule made.
    """

    questions: QuestionSet
    pairs: list[tuple[QuestionId, QuestionId]]
    made: Counter[str]


class _Wanted(NamedTuple):
    """Images that would do for a question: rows of the store, and the answer at each."""

    rule: str
    rows: NDArray[np.int64]
    answers: Sequence[str]


class _Images:
    """The images of the questions, by what is in them."""

    def __init__(self, classes: RegionClasses, rows: NDArray[np.int64]) -> None:
        self.classes, self.rows = classes, rows
        self._numbers: dict[int, NDArray[np.float32]] = {}

    def numbers(self, code: int) -> NDArray[np.float32]:
        """Returns how many of a class each image has, (n,); NaN where that is not known."""
        if code not in self._numbers:
            self._numbers[code] = self.classes.numbers(self.rows, np.full(len(self.rows), code))
        return self._numbers[code]

    def only(self, group: Sequence[int]) -> NDArray[np.int64]:
        """Returns which class of a group each image has, (n,), -1 where it has none or several."""
        there = np.stack([self.numbers(code) != 0 for code in group])
        return np.where(there.sum(axis=0) == 1, np.array(group)[there.argmax(axis=0)], -1)


def propagate(sources: PairSources, settings: Settings, seed: int = 0) -> Propagated:
    """Asks questions again about other images among those of the questions.

    Args:
        sources: questions with annotations, the store of their images and its classes of regions.
        settings: how many.
        seed: of which images are looked at.

    Raises:
        UsageError: the classes of regions are not given, or nothing can be made.
        DataError: an image is not in the store.
    """
    questions = sources.questions
    assert questions.annotations is not None
    sources.require_images(range(len(questions)))
    classes = sources.classes
    of_question = np.array([classes.rows[image_id] for image_id in questions.image_ids], np.int64)
    images = _Images(classes, np.unique(of_question))
    ids, words = {row: image_id for image_id, row in classes.rows.items()}, ClassWords(classes.names)
    rules = _Rules(classes.names, words, images, _spoken(sources, words))
    rng = np.random.default_rng(seed)
    asked: list[Question] = []
    answered: list[Annotation] = []
    pairs: list[tuple[QuestionId, QuestionId]] = []
    made: Counter[str] = Counter()
    of_each: Counter[tuple[str, str]] = Counter()
    new_id = _new_ids(questions.question_ids)
    for row in rng.permutation(len(questions)).tolist():
        question, annotation, own = questions.questions[row], questions.annotations[row], int(of_question[row])
        wanted = rules.wanted(*sources.ends.asked(row), own, settings)
        if wanted is None:
            continue
        places = rng.permutation(len(wanted.rows))[:_LOOKED_AT]
        apart = classes.differing(np.full(len(places), own), wanted.rows[places])
        taken = 0
        for place in places[np.argsort(apart, kind="stable")].tolist():
            text, image_id = wanted.answers[place], ids[int(wanted.rows[place])]
            each = annotation.question_type, text
            if taken == settings.images or of_each[each] == settings.of_each:
                continue
            taken += 1
            of_each[each] += 1
            made[wanted.rule] += 1
            name = next(new_id)
            pairs.append((question.question_id, name))
            asked.append(Question(name, image_id, question.question, question.coco_split))
            answers = tuple(Answer(text, "yes", number) for number in range(1, ANNOTATORS + 1))
            answered.append(Annotation(name, image_id, answers, annotation.question_type, annotation.answer_type, text))
    if not pairs:
        raise UsageError("no question's answer is decided by the classes of regions", mend="check --regions.names")
    return Propagated(QuestionSet(asked, answered, {}), pairs, made)


class _Rules:
    """Finds the images that a question may be asked about, and its answers there."""

    def __init__(self, names: Sequence[str], words: ClassWords, images: _Images, spoken: dict[int, str]) -> None:
        self.words, self.images, self.spoken = words, images, spoken
        self.at = {int(row): place for place, row in enumerate(images.rows)}
        self.own = [frozenset(form for name in entry.lower().split(",") for form in _forms(name)) for entry in names]
        number = {name: code for code, name in enumerate(names)}
        self.groups = {word: [number[name] for name in group if name in number] for word, group in GROUPS.items()}

    def wanted(self, text: str, answer: str, own: int, settings: Settings) -> _Wanted | None:
        """Returns the images, None where the question is none of those that objects decide."""
        at = self.at[own]
        if settings.presence and asks_presence(text) and answer in ("yes", "no"):
            return self._presence(text, answer, at)
        if settings.count and asks_number(text):
            return self._count(text, as_number(answer), at)
        if settings.kind:
            return self._kind(text, answer, at)
        return None

    def _presence(self, text: str, answer: str, at: int) -> _Wanted | None:
        named = self.words.named(text)
        if len(named) != 1:
            return None
        (code,) = named
        there = self.images.numbers(code) != 0
        if answer == "yes" and there[at]:
            return self._found("presence", ~there, "no")
        if answer == "no" and not there[at] and self._plain(text, code):
            return self._found("presence", there, "yes")
        return None

    def _count(self, text: str, said: float, at: int) -> _Wanted | None:
        named = counted_class(self.words, text)
        if len(named) != 1 or self.words.named(text) != named:
            return None
        (code,) = named
        number = self.images.numbers(code)
        if self._plain(text, code) and said == number[at]:
            rows = np.flatnonzero((number != said) & (number <= _MOST))  # NaN is in neither
            # Most images have none of a class: few of these are taken, or none would be all that is said.
            some, none = rows[number[rows] > 0], rows[number[rows] == 0]
            rows = np.concatenate([some, none[: max(1, len(some) // 3)]])
            return _Wanted("count", self.images.rows[rows], [str(int(number[row])) for row in rows])
        if said > 0 and number[at] != 0:
            return self._found("count", number == 0, "0")
        return None

    def _kind(self, text: str, answer: str, at: int) -> _Wanted | None:
        group = next((self.groups[word] for word in text.split() if word in self.groups), None)
        named = self.words.named(answer)
        rest = set(text.split()) - _FILLER - _KIND - GROUPS.keys()
        if group is None or len(named) != 1 or self.words.named(text) or rest:
            return None
        only = self.images.only(group)
        (code,) = named
        if code not in group or only[at] != code:
            return None
        rows = np.flatnonzero((only != code) & np.isin(only, list(self.spoken)))
        return _Wanted("kind", self.images.rows[rows], [self.spoken[int(only[row])] for row in rows])

    def _found(self, rule: str, which: NDArray[np.bool_], answer: str) -> _Wanted:
        rows = self.images.rows[which]
        return _Wanted(rule, rows, [answer] * len(rows))

    def _plain(self, text: str, code: int) -> bool:
        """Whether a question asks for a class by its own name and for nothing else."""
        padded = f" {text} "
        forms = sorted(self.own[code], key=len, reverse=True)
        form = next((form for form in forms if f" {form} " in padded), None)
        return form is not None and not set(padded.replace(f" {form} ", " ", 1).split()) - _FILLER


def _forms(name: str) -> tuple[str, ...]:
    own = " ".join(name.replace("_", " ").split())
    return (own, *plurals(own), *(("people",) if own == "person" else ()))


def _spoken(sources: PairSources, words: ClassWords) -> dict[int, str]:
    """Returns by class the answer that most often names it alone."""
    known, codes = sources.ends.answers
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for code, count in Counter(codes.tolist()).items():
        named = words.named(known[code])
        if len(named) == 1:
            found[next(iter(named))][known[code]] += count
    return {code: counts.most_common(1)[0][0] for code, counts in found.items()}


def _new_ids(taken: Sequence[QuestionId]) -> Iterator[QuestionId]:
    """Yields ids that no question has."""
    numbers = [key for key in taken if isinstance(key, int)]
    if len(numbers) == len(taken):
        yield from range(max(numbers) + 1, max(numbers) + 1 + (1 << 40))
    known, number = set(taken), 0
    while True:
        number += 1
        if f"propagated-{number}" not in known:
            yield f"propagated-{number}"
