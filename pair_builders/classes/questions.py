"""What a question asks for, as far as its first words tell (presence, a number, a colour), and of which class."""

from __future__ import annotations

import re

import numpy as np
from vqa_gs.pair_builders.classes.words import COLOURS, Classes, ClassWords

# What such a question names is all it asks for.
_PRESENCE = re.compile(
    r"((is|are|was|were) there |(is|was) (this|that|it) (a|an|the) |(are|were) (these|those|they) "
    r"|(do|can|could) (you|we) see |does (this|the) (picture|photo|image|scene|room) (have|show|contain) )"
)
_NUMBER = re.compile(r"(how many|what (is the )?(total )?number of|how much) ")
_COLOUR = re.compile(r"\bcolou?rs?\b")


def asks_presence(text: str) -> bool:
    """Says whether a normalised question asks if something is there."""
    return _PRESENCE.match(text) is not None


def asks_number(text: str) -> bool:
    """Says whether it asks how many there are."""
    return _NUMBER.match(text) is not None


def asks_colour(text: str) -> bool:
    """Says whether it asks for a colour."""
    return _COLOUR.search(text) is not None


def counted_class(words: ClassWords, text: str) -> Classes:
    """Returns the class that a counting question counts: the first named after "how many"; none if that is several."""
    match = _NUMBER.match(text)
    rest = text[match.end() :].split() if match else []
    for end in range(1, min(len(rest), 4) + 1):
        head = words.named(" ".join(rest[:end]))
        if head:
            longer = words.named(" ".join(rest[: end + 1]))  # "hot dogs" after "hot", "stop signs" after "stop"
            return next((some for some in (longer, head) if len(some) == 1), frozenset())
    return frozenset()


def as_number(answer: str) -> float:
    """Returns the number a normalised answer is, NaN if it is none."""
    return float(answer) if answer.isdecimal() and len(answer) < 4 else np.nan


def classes_in_question(words: ClassWords, text: str, answer: str) -> list[int]:
    """Returns the classes whose removal takes the ground from an answer, rising.

    Of a question about presence what it asks for, of a counting question what it counts, else what the answer names;
    where the answer names nothing, what the question names.

    Args:
        words: finds classes in texts.
        text: the normalised question.
        answer: the normalised answer.
    """
    if asks_number(text):
        return sorted(counted_class(words, text))
    if asks_presence(text) or answer in ("yes", "no") or (asks_colour(text) and answer in COLOURS):
        return sorted(words.named(text))
    return sorted(words.named(answer) or words.named(text))
