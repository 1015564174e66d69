import copy
import functools
import importlib.util
import json
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.evaluate import evaluate
from vqa_gs.eval.results import read_result_file
from vqa_gs.eval.rules import RULES, score_questions

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


def accuracy(texts, prediction, rule="official", **fields):
    return float(score_questions([annotated(texts, **fields)], [prediction], rule)[0])


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


TEN_ANSWER_RULES = ["official", "official-pre2021", "min-n-over-3"]


@pytest.mark.parametrize("rule", TEN_ANSWER_RULES)
@settings(max_examples=500, deadline=None)
@given(scored_question())
def test_scores_equal_the_slow_transcription(rule, question):
    texts, ids, confidences, prediction = question
    annotation = annotated(texts, ids, confidences)
    before = copy.deepcopy(annotation)
    expected = oracle.slow_accuracy([msgspec.to_builtins(answer) for answer in annotation.answers], prediction, rule)
    for _ in range(2):  # the official evaluator changes its input and scores a second time differently
        assert score_questions([annotation], [prediction], rule)[0] == expected
    assert annotation == before


@pytest.mark.parametrize("rule", ["exact", "exact-normalized"])
@settings(max_examples=500, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=2), st.booleans())
def test_exact_match_equals_the_slow_transcription(rule, texts, normalize):
    prediction = oracle.slow_normalize(texts[-1]) if normalize else texts[-1]
    annotation = annotated([texts[0]])
    expected = oracle.slow_accuracy([msgspec.to_builtins(answer) for answer in annotation.answers], prediction, rule)
    assert score_questions([annotation], [prediction], rule)[0] == expected


def adversarial_case(generator, pool, single):
    """Answers with votes split between spellings, and a prediction that is often one of them."""
    few = generator.choices(pool, k=generator.randint(1, 4))
    texts = few[:1] if single else generator.choices(few, k=generator.choice([10, 10, 10, 10, 2, 3, 5, 9, 11]))
    ids = list(range(1, len(texts) + 1))
    if not single and generator.random() < 0.05:
        ids = [generator.randint(1, 3) for _ in texts]
    confidence = generator.choice(["yes", "maybe", "no"])
    return texts, ids, confidence, generator.choice(few if generator.random() < 0.8 else pool)


def adversarial_pool(generator):
    texts = ["".join(generator.choices(PIECES, k=generator.randint(0, 5))) for _ in range(12)]
    texts += ["".join(chr(generator.randint(32, 0x2100)) for _ in range(generator.randint(0, 6))) for _ in range(4)]
    texts += [text.upper() for text in texts[:4]] + [f" {text}\n" for text in texts[:4]]
    return texts + [oracle.slow_normalize(text) for text in texts[:12]]


def compare_with_the_oracle(rule, cases, monkeypatch):
    # The transcription's normalising is a pure function: remembering it changes its cost only.
    monkeypatch.setattr(oracle, "slow_normalize", functools.lru_cache(10_000)(oracle.slow_normalize))
    generator = random.Random(f"adversarial {rule}")
    annotations, predictions, expected = [], [], []
    for case in range(cases):
        if case % 200 == 0:
            pool = adversarial_pool(generator)
        texts, ids, confidence, prediction = adversarial_case(generator, pool, rule.startswith("exact"))
        rows = [{"answer": t, "answer_confidence": confidence, "answer_id": n} for t, n in zip(texts, ids, strict=True)]
        annotations.append(annotated(texts, ids, [confidence] * len(texts)))
        predictions.append(prediction)
        expected.append(oracle.SLOW[rule](rows, prediction))
        if len(annotations) == 20_000 or case == cases - 1:
            scores = score_questions(annotations, predictions, rule)
            differing = np.flatnonzero(scores != np.array(expected))
            assert not len(differing), (annotations[differing[0]], predictions[differing[0]])
            assert 0.02 < scores.mean() < 0.98
            annotations, predictions, expected = [], [], []


# What two-way takes for an answer is a handful of words: it has cases of its own below.
OF_ANY_ANSWER = [rule for rule in RULES if rule != "two-way"]


@pytest.mark.parametrize("rule", OF_ANY_ANSWER)
def test_thousands_of_adversarial_cases(rule, monkeypatch):
    compare_with_the_oracle(rule, 10_000, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("rule", OF_ANY_ANSWER)
def test_a_million_adversarial_cases(rule, monkeypatch):
    compare_with_the_oracle(rule, 1_000_000, monkeypatch)


# How the published copies differ, from the table of the scoring description.
@pytest.mark.parametrize(
    ("texts", "prediction", "old", "new"),
    [
        (["yes"] * 10, "Yes", 1.0, 0.0),
        (["two"] * 9 + ["2"], "two", 0.3, 1.0),
        (["two"] * 9 + ["3"], "2", 0.0, 1.0),
        (["none"] * 10, "none", 0.0, 1.0),
        (["the man"] * 10, "the man", 0.0, 1.0),
        (["yes\n"] * 9 + ["no"], "yes", 0.0, 1.0),
    ],
)
def test_the_script_before_and_after_2021(texts, prediction, old, new):
    annotation = annotated(texts)
    assert score_questions([annotation], [prediction], "official-pre2021")[0] == pytest.approx(old, abs=1e-12)
    assert score_questions([annotation], [prediction])[0] == pytest.approx(new, abs=1e-12)


def test_votes_over_three():
    annotations = [annotated(["b"] * votes + ["c"] * (10 - votes)) for votes in range(6)]
    assert score_questions(annotations, ["b"] * 6, "min-n-over-3").tolist() == [0, 1 / 3, 2 / 3, 1, 1, 1]
    assert score_questions([annotated(["Yes."] * 10)], ["yes"], "min-n-over-3") == 0


TWO_WAY = ["yes", "no", "Yes", "NO", "A", "B", "a", "b", "(a)", "(B)", " yes "]


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(TWO_WAY), st.lists(st.sampled_from([*PIECES, *TWO_WAY, " ", "nothing", "yesno"])).map("".join))
def test_two_way_answers_equal_the_slow_transcription(truth, prediction):
    expected = oracle.slow_accuracy([{"answer": truth}], prediction, "two-way")
    assert accuracy([truth], prediction, rule="two-way") == expected


def test_two_way_answers():
    assert accuracy(["no"], "There is no dog, yes.", rule="two-way") == 1
    assert accuracy(["A"], "The answer is (A).", rule="two-way") == 1
    assert accuracy(["B"], "A dog, so B", rule="two-way") == 0  # the article is the letter, as in the authors' script
    with pytest.raises(DataError, match="question 7: this rule is for yes, no, A and B, but the answer is 'red'"):
        accuracy(["red"], "red", rule="two-way")


def test_exact_match_of_single_answers():
    annotations = [annotated(["Yes"]), annotated(["the left"])]
    assert score_questions(annotations, ["yes", "the left"], "exact").tolist() == [0, 1]
    assert score_questions(annotations, ["yes", "left"], "exact-normalized").tolist() == [1, 1]
    assert score_questions([annotated(["no"] * 10)], ["no"], "exact") == 1
    with pytest.raises(DataError, match=r"question 7: exact match needs one answer.*2 different.*official"):
        score_questions([annotated(["no", "yes"])], ["no"], "exact")


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
    for rule in TEN_ANSWER_RULES:
        with pytest.raises(DataError, match=r"question 7: .*--scoring exact"):
            score_questions([annotated(["yes"])], ["yes"], rule)


def test_missing_answer_ids_are_refused():
    with pytest.raises(DataError, match=r"question 7: .*no answer_id.*number the answers"):
        accuracy(["yes"] * 10, "yes", ids=[*range(1, 10), None])


def test_no_answers_are_refused():
    with pytest.raises(DataError, match="no answers"):
        accuracy([], "yes")


def test_unknown_rule_and_unequal_lengths():
    with pytest.raises(UsageError, match=r"no scoring rule called 'best'.*official"):
        score_questions([], [], rule="best")
    with pytest.raises(UsageError, match="0 predictions for 1 questions"):
        score_questions([annotated(["a", "b"])], [])


def test_official_is_the_default_rule():
    assert list(RULES) == [
        "exact",
        "exact-normalized",
        "min-n-over-3",
        "official",
        "official-pre2021",
        "one-of",
        "two-way",
    ]
    scores = score_questions([], [])
    assert scores.shape == (0,)
    assert scores.dtype == np.float64


@needs_scorer
@pytest.mark.parametrize("name", ["annotator1", "mca", "qtype_prior", "yes"])
def test_equal_to_the_official_output(name):
    official = json.loads((SCORER / "official_output.json").read_text())[name]
    question_set = read_question_set(SCORER / "questions.json", SCORER / "annotations.json.gz")
    answers = read_result_file(SCORER / f"pred_{name}.json", question_set.question_ids).answers
    scores = score_questions(question_set.annotations, [answers[key] for key in question_set.question_ids])
    ours = {
        str(key): round(100 * float(score), 2) for key, score in zip(question_set.question_ids, scores, strict=True)
    }
    assert ours == official["evalQA"]
    metrics = evaluate(question_set, answers)
    assert round(metrics.overall, 2) == official["accuracy"]["overall"]
    for ours_name, official_name in (
        ("per_answer_type", "perAnswerType"),
        ("per_question_type", "perQuestionType"),
    ):
        rounded = {kind: round(value, 2) for kind, value in getattr(metrics, ours_name).items()}
        assert rounded == official["accuracy"][official_name]
