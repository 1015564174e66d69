"""What is asked in the drawn world, how it is worded, and what ten simulated people answer.

A question is a `Query`: one of five VQA v2 question types and the word it is about, a shape or a colour. The
answer to a query is a property of the scene alone (`vqa_gs.demo.scenes.answer`); this module only knows the
words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "moon")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
COUNTS = ("0", "1", "2", "3", "4")

COLOR = "what color is the"
PRESENCE = "is there a"
COUNT = "how many"
SHAPE = "what shape is the"
LEFT = "what is left of the"
QUESTION_TYPES = (COLOR, PRESENCE, COUNT, SHAPE, LEFT)

TYPE_SHARES = {COLOR: 0.20, PRESENCE: 0.38, COUNT: 0.12, SHAPE: 0.18, LEFT: 0.12}
"""How often each type is asked. By answer type these are VQA v2's shares: yes/no 38 %, number 12 %, other 50 %."""

_ANSWER_TYPES = {COLOR: "other", PRESENCE: "yes/no", COUNT: "number", SHAPE: "other", LEFT: "other"}

# Every wording starts with its question type, as VQA v2's types are question prefixes.
_WORDINGS = {
    COLOR: (
        "What color is the {noun}?",
        "What color is the {noun} in the picture?",
        "What color is the {noun} in this image?",
    ),
    PRESENCE: (
        "Is there a {noun}?",
        "Is there a {noun} in the picture?",
        "Is there a {noun} in this image?",
    ),
    COUNT: (
        "How many {nouns} are there?",
        "How many {nouns} are in the picture?",
        "How many {nouns} can you see?",
    ),
    SHAPE: (
        "What shape is the {noun} object?",
        "What shape is the {noun} thing?",
        "What shape is the {noun} object in the picture?",
    ),
    LEFT: (
        "What is left of the {noun}?",
        "What is left of the {noun} in the picture?",
        "What is left of the {noun} in this image?",
    ),
}

_SYNONYMS = {
    "circle": ("ball", "round"),
    "square": ("box", "rectangle"),
    "cross": ("plus", "plus sign"),
    "diamond": ("rhombus",),
    "moon": ("crescent",),
    "orange": ("light orange",),
    "purple": ("violet",),
    "blue": ("dark blue",),
    "yes": ("maybe",),
    "no": ("maybe", "not sure"),
    "0": ("none", "zero"),
    "1": ("one",),
    "2": ("two",),
    "3": ("three", "several"),
    "4": ("four", "several"),
}

# Of ten people at most three leave the majority answer: it stays the majority, and its score stays 1.
_MAX_DEVIATING = 3
_DEVIATION_RATE = 0.06
_SYNONYM_SHARE = 0.6


@dataclass(frozen=True)
class Query:
    """What a question asks, before it is worded.

    Attributes:
        kind: one of `QUESTION_TYPES`.
        subject: the shape asked about, for ``what shape is the`` the colour.
    """

    kind: str
    subject: str


def all_queries(kind: str) -> tuple[Query, ...]:
    """Returns one query for each subject a question type can have."""
    return tuple(Query(kind, subject) for subject in (COLORS if kind == SHAPE else SHAPES))


def possible_answers(query: Query) -> tuple[str, ...]:
    """Returns the answers ``query`` can have in some scene."""
    if query.kind == COLOR:
        return COLORS
    if query.kind == PRESENCE:
        return ("yes", "no")
    if query.kind == COUNT:
        return COUNTS
    if query.kind == SHAPE:
        return SHAPES
    # The subject of a question is the only one of its shape, so its neighbour has another.
    return tuple(shape for shape in SHAPES if shape != query.subject)


def phrase(query: Query, rng: np.random.Generator) -> str:
    """Words a query in one of several ways."""
    wordings = _WORDINGS[query.kind]
    noun = query.subject
    plural = noun + ("es" if noun.endswith("s") else "s")
    return wordings[rng.integers(len(wordings))].format(noun=noun, nouns=plural)


def _deviation(query: Query, answer: str, rng: np.random.Generator) -> str:
    synonyms = _SYNONYMS.get(answer, ())
    if synonyms and rng.random() < _SYNONYM_SHARE:
        return synonyms[rng.integers(len(synonyms))]
    others = [other for other in possible_answers(query) if other != answer]
    if query.kind == COUNT:  # people miscount by one
        others = [other for other in others if abs(int(other) - int(answer)) == 1]
    return others[rng.integers(len(others))]


def human_answers(query: Query, answer: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Simulates ten people: most say ``answer``, a few a synonym or something wrong.

    Args:
        query: what they were asked.
        answer: what the scene shows.
        rng: the source of their mistakes.

    Returns:
        Ten answer objects of the VQA v2 form, in the order of their ``answer_id`` 1 to 10.
    """
    deviates = rng.random(10) < _DEVIATION_RATE
    deviates[np.flatnonzero(deviates)[_MAX_DEVIATING:]] = False
    answers = []
    for number, deviating in enumerate(deviates, start=1):
        text = _deviation(query, answer, rng) if deviating else answer
        confidence = "maybe" if deviating or rng.random() < 0.05 else "yes"
        answers.append({"answer": text, "answer_confidence": confidence, "answer_id": number})
    return answers


def question_record(
    query: Query, *, image_id: int, question_id: int, coco_split: str, rng: np.random.Generator
) -> dict[str, Any]:
    """Returns a question in VQA-CP's form."""
    return {
        "image_id": image_id,
        "question": phrase(query, rng),
        "question_id": question_id,
        "coco_split": coco_split,
    }


def annotation_record(
    query: Query, answer: str, *, question: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns the annotation that belongs to the record ``question``, in VQA-CP's form."""
    return {
        "question_type": query.kind,
        "multiple_choice_answer": answer,
        "answers": human_answers(query, answer, rng),
        "image_id": question["image_id"],
        "answer_type": _ANSWER_TYPES[query.kind],
        "question_id": question["question_id"],
        "coco_split": question["coco_split"],
    }
