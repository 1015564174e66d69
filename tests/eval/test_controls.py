import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.controls import CONTROLS, AnswerControls, ceiling, controlled_top, supported

from vqa_gs.data.questions import Annotation, Answer


def annotation(key, kind, *answers):
    texts = [*answers, *[answers[0]] * (10 - len(answers))]
    told = tuple(Answer(text, "yes", at + 1) for at, text in enumerate(texts))
    return Annotation(key, key, told, kind, "other", answers[0])


TRAIN = [annotation(key, "what", answer) for key, answer in enumerate(["red"] * 8 + ["blue"] + ["Red."])]
TRAIN.append(annotation(20, "how many", "2"))
TEST = [annotation(30, "what", "green"), annotation(31, "what", "blue"), annotation(32, "how many", "two")]
VOCABULARY = ["red", "blue", "green", "2"]


def slow(train, test, vocabulary, probabilities):
    """The three rules as their table words them, by one loop a question, for answers that need no normalising."""
    rows = []
    for question, shares in zip(test, probabilities, strict=True):

        def times(annotations, answer, kind=question.question_type):
            return sum(one.question_type == kind and one.majority == answer for one in annotations)

        def best(scores):
            known = {answer: score for answer, score in scores.items() if score is not None}
            return max(known, key=lambda answer: (known[answer], -vocabulary.index(answer))) if known else None

        given = dict(zip(vocabulary, shares, strict=True))
        train_of = sum(one.question_type == question.question_type for one in train) + len(vocabulary)
        prior = {answer: (times(train, answer) + 1) / train_of for answer in vocabulary}
        true = {answer: times(test, answer) for answer in vocabulary}
        rows.append(
            (
                best({a: given[a] if not times(train, a) else None for a in vocabulary}),
                best({a: given[a] / prior[a] ** 2 for a in vocabulary}),
                best({a: given[a] * true[a] / prior[a] if true[a] else None for a in vocabulary}),
            )
        )
    return rows


words = st.sampled_from(["red", "blue", "green"])
annotations = st.lists(st.tuples(st.sampled_from(["what", "which"]), words), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(annotations, annotations, st.integers(0, 10**6))
def test_the_rules_are_those_of_the_slow_reading(train, test, seed):
    train = [annotation(key, *pair) for key, pair in enumerate(train)]
    test = [annotation(100 + key, *pair) for key, pair in enumerate(test)]
    vocabulary = ["red", "blue", "green", "pink"]
    # Drawn from a continuum: no two scores are equal, in any precision.
    logits = np.random.default_rng(seed).uniform(-6, 6, (len(test), len(vocabulary))).tolist()
    probabilities = [[1 / (1 + math.exp(-z)) for z in row] for row in logits]
    controls = AnswerControls(train, test, vocabulary, "official")
    chosen = controls.choose(np.arange(len(test)), np.log(np.array(probabilities)))
    found = controls.answered(chosen)
    assert list(zip(*(found.answers[name] for name in CONTROLS), strict=True)) == slow(
        train, test, vocabulary, probabilities
    )
    # From a file of all answers, in any order of the vocabulary, the same.
    top = {
        one.question_id: tuple(sorted(zip(vocabulary, row, strict=True), key=lambda entry: -entry[1]))
        for one, row in zip(test, logits, strict=True)
    }
    again = controlled_top(train, test, top, "official")
    assert {name: list(texts) for name, texts in again.answers.items()} == found.answers
    assert again.top_k == len(vocabulary)


def test_by_hand():
    # "what": red 9 ("Red." counts), blue 1 of 10; "how many": 2 once.
    log_p = np.log([[0.9, 0.05, 0.02, 0.01], [0.9, 0.3, 0.001, 0.001], [0.1, 0.1, 0.1, 0.9]])
    controls = AnswerControls(TRAIN, TEST, VOCABULARY, "official")
    found = controls.answered(controls.choose(np.arange(3), log_p))
    assert found.answers["seen_forbidden"] == ["green", "green", "red"]
    # .05/4 against .02/1 against .9/100: green; .3/4 is above .001 and .009.
    assert found.answers["prior_inverted"] == ["green", "blue", "2"]
    # Green and blue once each in the test: .05/2 against .02/1, .3/2 against .001.
    assert found.answers["test_prior"] == ["blue", "blue", "2"]
    assert found.top_k is None


def test_few_answers_may_leave_none():
    top = {30: (("red", 2.0), ("blue", 1.0)), 31: (("red", 2.0), ("green", -9.0), ("blue", -1.0)), 32: (("2", 0.0),)}
    found = controlled_top(TRAIN, TEST, top, "official")
    assert found.answers["seen_forbidden"] == [None, "green", None]
    assert found.answers["test_prior"] == ["blue", "blue", "2"]
    assert found.top_k == 1
    assert sorted(found.vocabulary) == ["2", "blue", "green", "red"]


def test_saturated_logits_do_not_overflow():
    top = {one.question_id: (("red", 1e4), ("green", -1e4)) for one in TEST}
    assert controlled_top(TRAIN, TEST, top, "official").answers["seen_forbidden"] == ["green", "green", "red"]


def test_spellings_are_kept_apart_under_exact():
    assert supported(TRAIN, [annotation(40, "what", "Red.")], "official").tolist() == [True]
    assert supported(TRAIN[:9], [annotation(40, "what", "Red.")], "exact").tolist() == [False]
    assert supported(TRAIN, TEST, "official").tolist() == [False, True, True]
    assert supported(TRAIN, TEST, "exact").tolist() == [False, True, False]


def test_the_ceiling_is_the_best_answer_of_the_vocabulary():
    test = [
        annotation(1, "what", "red", "blue", "blue"),
        annotation(2, "what", "lilac", "blue"),
        annotation(3, "what", "ochre"),
    ]
    assert ceiling(test, ["blue", "red"], "official") == pytest.approx([1.0, 0.3, 0.0])
    assert ceiling(test, ["blue"], "official") == pytest.approx([0.6, 0.3, 0.0])
    assert ceiling(test, ["Red."], "official") == pytest.approx([1.0, 0.0, 0.0])


def test_avoiding_what_training_shows_is_right_where_answers_flip():
    """A model that knows nothing but the prior gets all right by either trick."""
    train = [annotation(key, "is it", "yes") for key in range(9)]
    test = [annotation(100 + key, "is it", "no") for key in range(9)]
    controls = AnswerControls(train, test, ["yes", "no"], "official")
    log_p = np.log(np.tile([0.9, 0.1], (9, 1)))
    found = controls.answered(controls.choose(np.arange(9), log_p))
    assert set(found.answers["seen_forbidden"]) == {"no"}
    assert set(found.answers["prior_inverted"]) == {"no"}
    assert not supported(train, test, "official").any()
