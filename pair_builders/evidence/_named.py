"""The class a question is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vqa_gs.pair_builders._asked import asks_colour, asks_number, asks_presence, counted_class
from vqa_gs.pair_builders.class_words import COLOURS, Classes, ClassWords

from vqa_gs.data.normalize import normalize_question

if TYPE_CHECKING:
    from vqa_gs.pair_builders.base import PairSources


def class_in_question(sources: PairSources, words: ClassWords, row: int) -> list[int]:
    """Returns the classes whose removal takes the ground from an answer, rising.

    Of a question about presence what it asks for, of a counting question what it counts, else what the answer names;
    where the answer names nothing, what the question names.

    Args:
        sources: the questions and their answers.
        words: finds classes in texts.
        row: the question.
    """
    text = normalize_question(sources.questions.questions[row].question)
    known, codes = sources.ends.answers
    answer = known[codes[row]]
    found: Classes
    if asks_number(text):
        found = counted_class(words, text)
    elif asks_presence(text) or answer in ("yes", "no") or (asks_colour(text) and answer in COLOURS):
        found = words.named(text)
    else:
        found = words.named(answer) or words.named(text)
    return sorted(found)
