import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from vqa_gs.data.priors import answer_priors, jensen_shannon, prior_shift, shift_document, total_variation
from vqa_gs.data.questions import Annotation, Answer

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1).map(Counter)


def annotation(key, kind, answer):
    return Annotation(key, 1, (Answer(answer),), kind)


def test_by_hand():
    first, second = Counter(yes=3, no=1), Counter(yes=1, no=3)
    assert total_variation(first, second) == 0.5
    # 1/2 (3/4 log2 3/2 + 1/4 log2 1/2), twice
    assert jensen_shannon(first, second) == pytest.approx(0.75 * math.log2(1.5) - 0.25)
    assert total_variation(Counter(a=2), Counter(b=7)) == jensen_shannon(Counter(a=2), Counter(b=7)) == 1


@given(COUNTS, COUNTS)
def test_against_scipy(first, second):
    p, q = ([part[key] / sum(part.values()) for key in "abcdef"] for part in (first, second))
    assert jensen_shannon(first, second) == pytest.approx(float(jensenshannon(p, q, base=2)) ** 2, abs=1e-9)
    assert total_variation(first, second) == pytest.approx(sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2)
    assert 0 <= jensen_shannon(first, second) <= total_variation(first, second) + 1e-12 <= 1 + 1e-12


def test_answers_count_normalised():
    rows = [annotation(1, "is", "Yes."), annotation(2, "is", " yes"), annotation(3, "how many", "two")]
    assert answer_priors(rows) == {"is": {"yes": 2}, "how many": {"2": 1}}


def test_shift_of_two_splits():
    train = [annotation(k, "is", answer) for k, answer in enumerate(["yes"] * 3 + ["no"])]
    train.append(annotation(9, "why", "sunny"))
    test = [annotation(k, "is", answer) for k, answer in enumerate(["no"] * 6 + ["maybe", "yes"])]
    shifts, summary = prior_shift(train, test, top=2)
    only, lone = shifts
    assert (only.question_type, only.train, only.test) == ("is", 4, 8)
    assert only.total_variation == pytest.approx(0.625)
    assert only.train_prior_hits == 1 / 8
    assert only.shared == 7 / 8
    assert only.top_train == [("yes", 0.75), ("no", 0.25)]
    assert only.top_test == [("no", 0.75), ("maybe", 0.125)]
    assert (lone.question_type, lone.test, lone.total_variation) == ("why", 0, None)
    assert summary["total_variation"] == only.total_variation
    assert summary["question_types_in_both"] == 1
    assert shift_document(shifts, summary)["per_question_type"]["why"]["jensen_shannon"] is None
