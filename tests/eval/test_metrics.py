import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.metrics import (
    GroupMean,
    PairAccuracy,
    by_group,
    codes,
    count_same_question_pairs,
    overall,
    pair_accuracy,
    same_question_pair_accuracy,
)

from vqa_gs.common.errors import UsageError


def test_overall_is_in_percent_and_unrounded():
    assert overall(np.array([1.0, 0.3, 0.3])) == pytest.approx(160 / 3, abs=1e-12)
    assert overall(np.ones(7)) == 100.0


def test_overall_of_nothing():
    with pytest.raises(UsageError, match="no questions"):
        overall(np.zeros(0))


def test_overall_does_not_depend_on_the_order():
    scores = np.random.default_rng(0).choice([0, 0.3, 0.6, 0.9, 1], 10_000)
    assert overall(scores) == overall(scores[::-1]) == overall(np.sort(scores))


def test_groups_are_sorted_and_counted():
    groups = by_group(np.array([1.0, 0.0, 0.6]), ["other", "yes/no", "other"])
    assert list(groups) == ["other", "yes/no"]
    assert groups["other"] == GroupMean(pytest.approx(80.0), 2)
    assert groups["yes/no"] == GroupMean(0.0, 1)


def test_unequal_lengths():
    with pytest.raises(UsageError, match="2 scores, but 1"):
        by_group(np.zeros(2), ["other"])
    with pytest.raises(UsageError, match="2 scores, but 1"):
        same_question_pair_accuracy(np.zeros(2), ["q", "q"], [1], ["a", "b"])


def test_listed_pairs_need_both_ends_fully_right():
    scores = np.array([1.0, 1.0, 0.9, 0.0])
    assert pair_accuracy(scores, [(0, 1), (0, 2), (2, 3), (1, 0)]) == PairAccuracy(50.0, 4)


def test_no_pairs_have_no_accuracy():
    assert pair_accuracy(np.ones(2), []) == PairAccuracy(None, 0)
    assert same_question_pair_accuracy(np.ones(1), ["q"], [1], ["a"]) == PairAccuracy(None, 0)
    assert same_question_pair_accuracy(np.zeros(0), [], [], []) == PairAccuracy(None, 0)


def test_codes_tell_number_and_text_apart():
    assert codes([7, "7", 7]).tolist() == [0, 1, 0]


questions = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from([1, 2, "1", 3]),
        st.sampled_from("abc"),
        st.sampled_from([1.0, 0.9, 0.0]),
    ),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(questions)
def test_counting_equals_listing_the_pairs(rows):
    texts, images, answers, scores = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    pairs = right = 0
    for i, j in itertools.combinations(range(len(rows)), 2):
        if texts[i] == texts[j] and images[i] != images[j] and answers[i] != answers[j]:
            pairs += 1
            right += scores[i] == 1 and scores[j] == 1
    expected = PairAccuracy(100 * right / pairs if pairs else None, pairs)
    assert same_question_pair_accuracy(np.array(scores), texts, images, answers) == expected


def test_two_questions_about_one_image_make_no_pair():
    result = same_question_pair_accuracy(np.ones(3), ["q"] * 3, [1, 1, 2], ["a", "b", "b"])
    assert result == PairAccuracy(100.0, 1)


def test_millions_of_pairs_are_counted_not_listed():
    count = 200_000
    rows = np.arange(count)
    pairs = count_same_question_pairs(np.zeros(count, np.int64), rows // 3, rows % 2)
    # All, less those of equal answers, less those of one image whose answers differ (2 of 3 in a triple).
    half = count // 2
    triples, rest = divmod(count, 3)
    within = 2 * triples + (1 if rest == 2 else 0)
    assert pairs == count * (count - 1) // 2 - 2 * (half * (half - 1) // 2) - within
