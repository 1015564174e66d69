import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from vqa_gs.eval.breakdowns.calibration import Bin, expected_error, reliability
from vqa_gs.eval.results import Confidence

from vqa_gs.data.priors import jensen_shannon

ROWS = [
    (1, "what color is the", "other", "red", "white"),
    (2, "what color is the", "other", "red", "white"),
    (3, "what color is the", "other", "blue", "Blue."),
    (4, "what color is the", "other", "white", "white"),
    (5, "how many", "number", "two", "2"),
    (6, "who is", "other", "man", "man"),
]


def test_the_pull_of_the_prior_by_hand(scored, training, section_of):
    train = training(("what color is the", "white", 3), ("what color is the", "red", 1), ("how many", "2", 5))
    section = section_of("prior", scored(ROWS, train=train))
    colors = section["per_question_type"]["what color is the"]
    assert colors["prior_answer"] == "white"
    assert (colors["predicted_prior"], colors["true_prior"]) == (75.0, 25.0)
    assert (colors["questions"], colors["train_questions"]) == (4, 4)
    assert colors["answers"] == [
        {"answer": "white", "train": 75.0, "predicted": 75.0, "true": 25.0},
        {"answer": "red", "train": 25.0, "predicted": 0.0, "true": 50.0},
        {"answer": "blue", "train": 0.0, "predicted": 25.0, "true": 25.0},
    ]
    assert colors["divergence"]["predicted_train"] == pytest.approx(
        jensenshannon([0.75, 0, 0.25], [0.75, 0.25, 0], 2) ** 2
    )
    counts = section["per_question_type"]["how many"]
    assert counts["divergence"] == {"predicted_train": 0.0, "predicted_true": 0.0, "train_true": 0.0}
    # "who is" is not in training: left out. Four questions at 75 %, one at 100 %.
    assert set(section["per_question_type"]) == {"what color is the", "how many"}
    assert section["overall"]["questions"] == 5
    assert section["overall"]["predicted_prior"] == pytest.approx(80.0)


def test_no_training_no_prior(scored, training, section_of):
    assert section_of("prior", scored(ROWS)) is None
    assert section_of("prior", scored(ROWS, train=training(("where is", "left", 1)))) is None


def test_unanswered_questions_are_no_answers(scored, training, section_of):
    rows = [*ROWS[:4], (9, "what color is the", "other", "red", None)]
    section = section_of("prior", scored(rows, train=training(("what color is the", "white", 1))))
    assert section["per_question_type"]["what color is the"]["questions"] == 4


counters = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1).map(Counter)


@given(counters, counters)
def test_divergence_is_scipys(one, other):
    keys = list(one | other)
    expected = jensenshannon([one[key] for key in keys], [other[key] for key in keys], 2) ** 2
    assert jensen_shannon(one, other) == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-9)


def test_reliability_by_hand():
    bins = reliability(np.array([0.0, 0.5, 0.55, 1.0]), np.array([0.0, 1.0, 0.0, 0.6]), 2)
    assert bins == [
        Bin(0.0, 0.5, questions=2, confidence=25.0, accuracy=50.0),
        Bin(0.5, 1.0, questions=2, confidence=pytest.approx(77.5), accuracy=30.0),
    ]
    assert expected_error(bins) == pytest.approx((2 * 25 + 2 * 47.5) / 4)


def test_a_calibrated_model_has_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    accuracy = (rng.random(200_000) < confidence).astype(float)
    assert expected_error(reliability(confidence, accuracy)) < 0.6


def test_calibration_of_answers(scored, section_of):
    confidence = {1: Confidence(0.9, 0.5), 2: Confidence(0.9, 1.5), 4: Confidence(0.9, 0.1), 5: Confidence(0.6, 0.2)}
    section = section_of("calibration", scored(ROWS, confidence=confidence))
    assert section["questions"] == 4
    assert section["confidence"] == pytest.approx(82.5)
    assert section["accuracy"] == pytest.approx(25.0)  # "2" against ten times "two" scores 0
    assert section["ece"] == pytest.approx((3 * abs(90 - 100 / 3) + 60) / 4)
    assert section["per_answer_type"] == {"number": pytest.approx(60), "other": pytest.approx(90 - 100 / 3)}
    assert section["entropy"] == {
        "mean": pytest.approx(0.575),
        "right": pytest.approx(0.1),
        "wrong": pytest.approx(2.2 / 3),
    }
    assert section_of("calibration", scored(ROWS)) is None
    without = {1: Confidence(0.9, None)}
    assert "entropy" not in section_of("calibration", scored(ROWS, confidence=without))
