"""Text as the VQA community compares it: the official answer processing, question keys, tokens.

The answer processing follows GT-Vision-Lab/VQA, `vqaEval.py` at a013f00 (2021-03-11), quirks included: scores
are only comparable if everyone shares them. Each quirk is named where it is reproduced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

# The marks that are deleted or become a space. Not among them: . : ' $ % & # * | ~ ^
MARKS = ';/[]"{}()=+\\_-><@`,?!'

_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
# The official pattern means to keep decimal points with a look-behind, but spells it so that it always holds.
# What is left of it: a period goes unless a digit follows ("3." -> "3", ".5" stays).
_PERIOD = re.compile(r"\.(?!\d)")
# The official call passes `re.UNICODE`, 32, where `re.sub` takes the number of replacements.
_PERIODS_REMOVED = 32

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}
_ARTICLES = frozenset(("a", "an", "the"))

# Words that only lost their apostrophes: "dont" -> "don't".
_WHOLE = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll
how's I'm I've isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't
shan't should've shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll
that's there'd there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're
what's what've when's where'd where's where've who'd who'll who's who've why'll why're why's won't
would've wouldn't y'all you'd you'll you're you've
"""
# Words with two or three apostrophes that lost one or two of them, each with the spellings the table knows.
_PARTIAL = {
    "couldn't've": "couldn'tve couldnt've",
    "hadn't've": "hadnt've hadn'tve",
    "he'd've": "hed've he'dve",
    "I'd've": "Id've I'dve",
    "it'd've": "itd've it'dve",
    "mightn't've": "mightnt've mightn'tve",
    "'ow's'at": "ow's'at 'ows'at 'ow'sat",
    "she'd've": "shed've she'dve",
    "shouldn't've": "shouldnt've shouldn'tve",
    "somebody'd've": "somebodyd've somebody'dve",
    "someone'd've": "someoned've someone'dve",
    "something'd've": "somethingd've something'dve",
    "there'd've": "thered've there'dve",
    "they'd've": "theyd've they'dve",
    "we'd've": "wed've we'dve",
    "who'd've": "whod've who'dve",
    "wouldn't've": "wouldnt've wouldn'tve",
    "y'all'll": "yall'll y'allll",
    "y'all'd've": "yall'd've y'alld've y'all'dve",
    "you'd've": "youd've you'dve",
}
# Entries of the official table that do nothing ("let's", "she's") or the reverse of what they should
# ("somebody'd"). Those with a capital I are dead as well, since words are lowered before they are looked up.
_ODD = {"let's": "let's", "she's": "she's", "somebody'd": "somebodyd"}

CONTRACTIONS: dict[str, str] = {
    **{word.replace("'", ""): word for word in _WHOLE.split()},
    **{spelling: word for word, spellings in _PARTIAL.items() for spelling in spellings.split()},
    **_ODD,
}
"""The official table of contractions, 120 entries."""


def strip_answer(text: str) -> str:
    """Makes line breaks and tabs spaces, then strips; the official step before any comparing."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def process_punctuation(text: str) -> str:
    """Deletes the marks or turns them into spaces, and removes periods; the official `processPunctuation`.

    A mark is deleted if it has a space on either side somewhere in the text, and every mark is deleted if the
    text holds a comma between two digits; else it becomes a space: "red,white" -> "red white",
    "1,000" -> "1000", "1,2-x" -> "12x". All tests look at the text as it came in, so the marks do not
    influence each other.
    """
    table: dict[int, str | None]
    if _DIGIT_COMMA_DIGIT.search(text):
        table = {ord(mark): None for mark in MARKS}
    else:
        present = [mark for mark in MARKS if mark in text]
        table = {ord(mark): None if f"{mark} " in text or f" {mark}" in text else " " for mark in present}
    return _PERIOD.sub("", text.translate(table), count=_PERIODS_REMOVED)


def process_digit_article(text: str) -> str:
    """Lowers, writes numbers up to ten as digits, drops articles, mends contractions; `processDigitArticle`.

    The official map of numbers takes in every word it meets; that changes nothing but its memory, and is left
    out.
    """
    words = [_DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


@lru_cache(maxsize=1 << 17)
def normalize_answer(text: str) -> str:
    """Returns the official processing of an answer, without the step of `strip_answer`.

    Idempotent except for texts with more than 32 periods to remove. Remembers the latest 131,072 texts.
    """
    return process_digit_article(process_punctuation(text))


# Of two-way's answers, "A" would be no answer at all after the official processing.
_AS_WRITTEN = ("exact", "one-of", "two-way")


def answer_form(rule: str) -> Callable[[str], str]:
    """Returns the form in which answers are counted, made classes of, and compared with each other.

    Args:
        rule: the scoring rule. ``exact``, ``one-of`` and ``two-way`` take an answer as it is written; a model that is
            to be right under them has to learn the spellings too. All others take the official processing.
    """
    return str if rule in _AS_WRITTEN else _processed


def _processed(text: str) -> str:
    return normalize_answer(strip_answer(text))


_QUESTION_MARKS = re.compile(r"[?!,;\"]+|[.:](?!\d)")


@lru_cache(maxsize=1 << 17)
def normalize_question(text: str) -> str:
    """Returns the key by which two questions count as the same.

    Lower case, sentence marks dropped, blanks collapsed, curly apostrophes made straight. Marks that carry
    meaning stay ("Are >12 ribs visible?" and "Are <12 ribs visible?" differ), and so do numbers, articles and
    decimals.
    """
    return " ".join(_QUESTION_MARKS.sub(" ", text.lower().replace("’", "'")).split())


def tokenize(text: str) -> list[str]:
    """Splits a question into words as the UpDn family does.

    Lower case, "," and "?" dropped, "'s" made a word of its own: "What's this?" -> ["what", "'s", "this"].
    """
    return text.lower().replace(",", "").replace("?", "").replace("'s", " 's").split()
