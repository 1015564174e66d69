import copy
import importlib.util
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.evaluate import evaluate
from eval.results import read_results
from eval.scoring import RULES, score_questions
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.normalize import normalize_answer, strip_answer
from vqa_gs.data.questions import Annotation, Answer, read_question_set

_spec = importlib.util.spec_from_file_location("scoring_oracle", Path(__file__).with_name("scoring_oracle.py"))
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

SCORER = Path(__file__).resolve().parents[3] / "shared" / "data" / "scorer"
needs_scorer = pytest.mark.skipif(not SCORER.is_dir(), reason="shared/data/scorer is absent")

# Pieces that meet the quirks: marks, spaces, commas between digits, periods, numbers, articles, contractions.
PIECES = [
    *oracle.MARKS, *" \n\t.:'$%&#*|~^’", "1,2", "1,000", "3.5", ".5", "3.", "u.s.", "..", "." * 40, "a",
    "an", "the", "The", "A", "none", "None", "two", "Two", "ten", "twenty", "no", "yes", "dont", "Im", "im",
    "let's", "somebody'd", "she's", "'ows'at", "couldnt've", "t-shirt", "red,white", "red, white", "²",
    "İ", "٣,٤", "\u00a0", "\u2028", "ß",
]  # fmt: skip
nasty = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join) | st.text(max_size=30)


def annotated(texts, ids=None, confidences=None):
    ids = range(1, len(texts) + 1) if ids is None else ids
    confidences = ["yes"] * len(texts) if confidences is None else confidences
    answers = tuple(Answer(*entry) for entry in zip(texts, confidences, ids, strict=True))
    return Annotation(7, 1, answers)


def accuracy(texts, prediction, **fields):
    return float(score_questions([annotated(texts, **fields)], [prediction])[0])


@settings(max_examples=1500, deadline=None)
@given(nasty)
def test_normalizing_equals_the_slow_transcription(text):
    assert normalize_answer(text) == oracle.slow_normalize(text)
    assert strip_answer(text) == oracle.slow_strip(text)


@st.composite
def scored_question(draw):
    pool = draw(st.lists(nasty, min_size=1, max_size=3))
    pool += [text.upper() for text in pool] + [f" {text}\n" for text in pool] + [oracle.slow_normalize(t) for t in pool]
    count = draw(st.sampled_from([2, 3, 5, 10, 10, 10, 11]))
    texts = draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count))
    ids = draw(st.just(list(range(1, count + 1))) | st.lists(st.integers(1, 4), min_size=count, max_size=count))
    confidences = draw(st.lists(st.sampled_from(["yes", "maybe"]), min_size=count, max_size=count))
    return texts, ids, confidences, draw(st.sampled_from(pool) | nasty)


@settings(max_examples=800, deadline=None)
@given(scored_question())
def test_scores_equal_the_slow_transcription(question):
    texts, ids, confidences, prediction = question
    annotation = annotated(texts, ids, confidences)
    before = copy.deepcopy(annotation)
    expected = oracle.slow_accuracy([msgspec.to_builtins(answer) for answer in annotation.answers], prediction)
    for _ in range(2):  # the official evaluator changes its input and scores a second time differently
        assert score_questions([annotation], [prediction])[0] == pytest.approx(expected, abs=1e-12)
    assert annotation == before


GOLDEN = [
    ([*["yes"] * 10], "yes", 1.0),
    ([*["yes"] * 10], "Yes", 0.0),  # all agree: nothing is normalised
    ([*["yes"] * 10], " yes\n", 1.0),  # but stripped
    ([*["yes"] * 9, "no"], "Yes!", 1.0),
    ([*["yes"] * 9, "yes "], "Yes", 0.0),  # they agree once stripped
    ([*["yes"] * 9, "Yes"], "YES", 1.0),
    ([*["two"] * 9, "2"], "2", 1.0),
    ([*["none"] * 10], "0", 0.0),
    ([*["none"] * 9, "3"], "0", 1.0),
    (["two"] * 2 + ["2"] * 2 + ["3"] * 6, "2", 1.0),  # spellings do not split the vote
    (["t-shirt"] * 2 + ["t shirt"] + list("bcdefgh"), "t shirt", 0.9),
    (list("bcdefghijk"), "b", 0.3),
    (list("bbcdefghij"), "b", 0.6),
    (list("bbbcdefghi"), "b", 0.9),
    (list("bbbbcdefgh"), "b", 1.0),
    (["a"] * 5 + ["the"] * 5, "", 1.0),  # an article normalises to nothing
    (list("bbb"), "b", 2 / 3),
    (list("bcd"), "b", 2 / 9),
    (list("bbbbb"), "b", 1.0),
    (list("bbcde"), "b", 8 / 15),
]


@pytest.mark.parametrize(("texts", "prediction", "expected"), GOLDEN)
def test_golden_scores(texts, prediction, expected):
    assert accuracy(texts, prediction) == expected


def test_a_second_scoring_gives_the_same():
    annotations = [annotated(["yes"] * 5 + ["Yes."] * 5)]
    assert [float(score_questions(annotations, ["Yes"])[0]) for _ in range(2)] == [1.0, 1.0]


def test_equal_answers_with_equal_ids_leave_each_other_out():
    assert accuracy(["yes"] * 10, "yes", ids=[1] * 10) == 0
    assert accuracy(["yes"] * 4 + list("bcdefg"), "yes", ids=[1] * 4 + list(range(2, 8))) == pytest.approx(0.6)


def test_one_answer_is_refused():
    with pytest.raises(DataError, match=r"question 7: .*only one answer.*exact match"):
        accuracy(["yes"], "yes")


def test_missing_answer_ids_are_refused():
    with pytest.raises(DataError, match=r"question 7: .*no answer_id.*number the answers"):
        accuracy(["yes"] * 10, "yes", ids=[*range(1, 10), None])


def test_no_answers_are_refused():
    with pytest.raises(DataError, match="no answers"):
        accuracy([], "yes")


def test_unknown_rule_and_unequal_lengths():
    with pytest.raises(UsageError, match=r"no scoring rule 'best'.*official"):
        score_questions([], [], rule="best")
    with pytest.raises(UsageError, match="0 predictions for 1 questions"):
        score_questions([annotated(["a", "b"])], [])


def test_official_is_the_default_rule():
    assert next(iter(RULES)) == "official"
    scores = score_questions([], [])
    assert scores.shape == (0,)
    assert scores.dtype == np.float64


@needs_scorer
@pytest.mark.parametrize("name", ["annotator1", "mca", "qtype_prior", "yes"])
def test_equal_to_the_official_output(name):
    official = json.loads((SCORER / "official_output.json").read_text())[name]
    question_set = read_question_set(SCORER / "questions.json", SCORER / "annotations.json.gz")
    answers = read_results(SCORER / f"pred_{name}.json", question_set.question_ids)
    scores = score_questions(question_set.annotations, [answers[key] for key in question_set.question_ids])
    ours = {
        str(key): round(100 * float(score), 2) for key, score in zip(question_set.question_ids, scores, strict=True)
    }
    assert ours == official["evalQA"]
    metrics = evaluate(question_set, answers)
    assert round(metrics["overall"], 2) == official["accuracy"]["overall"]
    for ours_name, official_name in (
        ("per_answer_type", "perAnswerType"),
        ("per_question_type", "perQuestionType"),
    ):
        rounded = {kind: round(value, 2) for kind, value in metrics[ours_name].items()}
        assert rounded == official["accuracy"][official_name]
