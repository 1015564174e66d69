"""The scoring rules, written step by step from their description, as slow as they are told."""

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


def slow_mean_of_shares(answers, prediction):
    accuracies = []
    for entry in answers:
        others = [other for other in answers if other != entry]
        matching = [other for other in others if other["answer"] == prediction]
        accuracies.append(min(1, len(matching) / 3))
    total = 0.0
    for accuracy in accuracies:  # one after the other, as Python 2 sums
        total += accuracy
    return total / len(accuracies)


def official_in_place(answers, prediction):
    """The script of 2021-03-11; changes ``answers`` as the script does."""
    for entry in answers:
        entry["answer"] = slow_strip(entry["answer"])
    prediction = slow_strip(prediction)
    if len({entry["answer"] for entry in answers}) > 1:
        for entry in answers:
            entry["answer"] = slow_normalize(entry["answer"])
        prediction = slow_normalize(prediction)
    return slow_mean_of_shares(answers, prediction)


def pre2021_in_place(answers, prediction):
    """The script before 2021-03-11; changes ``answers`` as the script did."""
    prediction = slow_normalize(slow_strip(prediction))
    if len({entry["answer"] for entry in answers}) > 1:
        for entry in answers:
            entry["answer"] = slow_punctuation(entry["answer"])
    return slow_mean_of_shares(answers, prediction)


def min_n_over_3_in_place(answers, prediction):
    """The soft score of SSL-VQA's family over the answers as written."""
    counts = {}
    for entry in answers:
        counts[entry["answer"]] = counts.get(entry["answer"], 0) + 1
    return {0: 0.0, 1: 1 / 3, 2: 2 / 3}.get(counts.get(prediction, 0), 1.0)


def exact_in_place(answers, prediction):
    """GQA's rule; the answers are one, or equal."""
    return 1.0 if prediction == answers[0]["answer"] else 0.0


def exact_normalized_in_place(answers, prediction):
    """The same after the official processing of both."""
    return 1.0 if slow_normalize(slow_strip(prediction)) == slow_normalize(slow_strip(answers[0]["answer"])) else 0.0


def one_of_in_place(answers, prediction):
    """CARETS' rule: any of the answers, as written."""
    for entry in answers:
        if entry["answer"] == prediction:
            return 1.0
    return 0.0


def two_way_in_place(answers, prediction):
    """NaturalBench's: where each of the two words first stands as a word of its own, and which of them is first."""

    def position(word):
        found = re.search(r"\b" + re.escape(word) + r"\b", prediction, re.IGNORECASE)
        return found.start() if found else -1

    truth = answers[0]["answer"].strip().strip("()").lower()
    first, second = ("yes", "no") if truth in ("yes", "no") else ("a", "b")
    one, other = position(first), position(second)
    if one == -1 and other == -1:
        return 0.0
    named = first if other == -1 or (one != -1 and one < other) else second
    return 1.0 if named == truth else 0.0


SLOW = {
    "official": official_in_place,
    "official-pre2021": pre2021_in_place,
    "min-n-over-3": min_n_over_3_in_place,
    "exact": exact_in_place,
    "exact-normalized": exact_normalized_in_place,
    "one-of": one_of_in_place,
    "two-way": two_way_in_place,
}


def slow_accuracy(answers, prediction, rule="official"):
    """Scores one prediction against a list of {answer, answer_confidence, answer_id}; returns 0..1."""
    return SLOW[rule](copy.deepcopy(answers), prediction)
