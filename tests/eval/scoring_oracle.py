"""The official scoring, written step by step from its description, as slow as it is told."""

import copy
import re

from vqa_gs.data.normalize import CONTRACTIONS

MARKS = [
    ";",
    "/",
    "[",
    "]",
    '"',
    "{",
    "}",
    "(",
    ")",
    "=",
    "+",
    "\\",
    "_",
    "-",
    ">",
    "<",
    "@",
    "`",
    ",",
    "?",
    "!",
]
NUMBERS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}


def slow_punctuation(given):
    result = given
    for mark in MARKS:
        beside_space = (mark + " ") in given or (" " + mark) in given
        if beside_space or re.search("(\\d)(\\,)(\\d)", given) is not None:
            result = result.replace(mark, "")
        else:
            result = result.replace(mark, " ")
    return re.compile("(?!<=\\d)(\\.)(?!\\d)").sub("", result, 32)


def slow_digit_article(given):
    kept = []
    for word in given.lower().split():
        # The map grows with every word, as the official one does: this must make no difference.
        word = NUMBERS.setdefault(word, word)
        if word not in ["a", "an", "the"]:
            kept.append(word)
    for place, word in enumerate(kept):
        if word in CONTRACTIONS:
            kept[place] = CONTRACTIONS[word]
    return " ".join(kept)


def slow_normalize(given):
    return slow_digit_article(slow_punctuation(given))


def slow_strip(given):
    return given.replace("\n", " ").replace("\t", " ").strip()


def slow_accuracy(answers, prediction):
    """Scores one prediction against a list of {answer, answer_confidence, answer_id}; returns 0..1."""
    answers = copy.deepcopy(answers)
    for entry in answers:
        entry["answer"] = slow_strip(entry["answer"])
    prediction = slow_strip(prediction)
    if len({entry["answer"] for entry in answers}) > 1:
        for entry in answers:
            entry["answer"] = slow_normalize(entry["answer"])
        prediction = slow_normalize(prediction)
    accuracies = []
    for entry in answers:
        others = [other for other in answers if other != entry]
        matching = [other for other in others if other["answer"] == prediction]
        accuracies.append(min(1, len(matching) / 3))
    return sum(accuracies) / len(accuracies)
