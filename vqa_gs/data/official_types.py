"""The 65 question types of VQA and the rule that assigns them: the longest one a question begins with."""

from __future__ import annotations

import re
from functools import lru_cache

from vqa_gs.data.normalize import tokenize

NONE_OF_THE_ABOVE = "none of the above"

# QuestionTypes/mscoco_question_types.txt of GT-Vision-Lab/VQA, by first word.
_AFTER_FIRST_WORD = {
    "are": "; the; there; there any; these; they",
    "can": "you",
    "could": "",
    "do": "; you",
    "does": "the; this",
    "has": "",
    "how": "; many; many people are; many people are in",
    "is": "; he; it; that a; the; the man; the person; the woman; there; there a; this; this a; this an; this person",
    "was": "",
    "what": "; animal is; are; are the; brand; color; color are the; color is; color is the; does the; is; is in the;"
    " is on the; is the; is the color of the; is the man; is the name; is the person; is the woman; is this;"
    " kind of; number is; room is; sport is; time; type of",
    "where": "are the; is the",
    "which": "",
    "who": "is",
    "why": "; is the",
}
QUESTION_TYPES: tuple[str, ...] = (
    *(f"{first} {rest.strip()}".strip() for first, ends in _AFTER_FIRST_WORD.items() for rest in ends.split(";")),
    NONE_OF_THE_ABOVE,
)
"""The 65 types, "none of the above" last."""

_LONGEST_FIRST = sorted(QUESTION_TYPES[:-1], key=len, reverse=True)
# A blank has to follow, or the end: the published types of "What, besides flowers, ..." and "What brand/logo ..." are
# "none of the above" and "what".
_BEGINS = re.compile("(?:" + "|".join(map(re.escape, _LONGEST_FIRST)) + r")(?=[ ?]|$)")


@lru_cache(maxsize=1 << 16)
def question_type(question: str) -> str:
    """Returns the longest of the 65 types that the question begins with, as VQA's annotations have it."""
    found = _BEGINS.match(" ".join(question.lower().replace("’", "'").split()))
    return found.group() if found else NONE_OF_THE_ABOVE


def own_question_type(question: str) -> str:
    """Returns the longest of the 65 types that the question begins with, its first two words where none fits.

    What `question_type` calls "none of the above" is one type for all else; questions of other data, and in other
    languages, are told apart by how they begin.

    Example:
        >>> own_question_type("How many dogs are there?"), own_question_type("Name the animal.")
        ('how many', 'name the')
    """
    found = question_type(question)
    if found != NONE_OF_THE_ABOVE:
        return found
    return " ".join(tokenize(question)[:2]) or NONE_OF_THE_ABOVE
