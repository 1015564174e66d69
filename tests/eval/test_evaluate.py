import json
import subprocess
import sys

import pytest
from vqa_gs.eval.evaluate import evaluate
from vqa_gs.eval.metrics import PairAccuracy
from vqa_gs.eval.metrics_file import metrics_to_json

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

ROWS = [  # id, image, text, type, answer type, answers
    (1, 10, "Is it red?", "is it", "yes/no", ["yes"] * 9 + ["no"]),
    (2, 20, "is it  red", "is it", "yes/no", ["no"] * 9 + ["yes"]),
    (3, 30, "Is it red?", "is it", "yes/no", ["no"] * 10),
    (4, 30, "How many?", "how many", "number", ["two"] * 9 + ["3"]),
]


@pytest.fixture
def question_set():
    questions = [Question(key, image, text) for key, image, text, *_ in ROWS]
    annotations = [
        Annotation(
            key,
            image,
            tuple(Answer(a, "yes", n) for n, a in enumerate(answers, 1)),
            kind,
            answer_type,
            answers[0],
        )
        for key, image, _, kind, answer_type, answers in ROWS
    ]
    return QuestionSet(questions, annotations, {"q.json": "aa", "a.json": "bb"})


ANSWERS = {1: "Yes", 2: "no", 3: "yes", 4: "3"}


def test_the_metrics_file_as_the_architecture_has_it(question_set):
    metrics = evaluate(
        question_set,
        ANSWERS,
        split="ood_test",
        subsets={"first": [1, 2, 4]},
        pairs={"complementary": [(1, 2), (2, 3), (2, 99)]},
    )
    metrics = metrics_to_json(metrics)
    assert metrics == {
        "format": "vqa-gs-metrics",
        "scoring": "official",
        "split": "ood_test",
        "overall": pytest.approx(57.5),
        "questions": 4,
        "per_answer_type": {"number": pytest.approx(30.0), "yes/no": pytest.approx(200 / 3)},
        "per_question_type": {"how many": pytest.approx(30.0), "is it": pytest.approx(200 / 3)},
        "counts": {
            "per_answer_type": {"number": 1, "yes/no": 3},
            "per_question_type": {"how many": 1, "is it": 3},
        },
        "pair_accuracy": {
            "same_question": {"accuracy": 50.0, "pairs": 2},
            "complementary": {"accuracy": 50.0, "pairs": 2},
        },
        "subsets": {
            "first": {
                "overall": pytest.approx(230 / 3),
                "questions": 3,
                "per_answer_type": {"number": pytest.approx(30.0), "yes/no": 100.0},
                "pair_accuracy": {
                    "same_question": {"accuracy": 100.0, "pairs": 1},
                    "complementary": {"accuracy": 100.0, "pairs": 1},
                },
            }
        },
        "sources": {
            "questions": {"path": "q.json", "sha256": "aa"},
            "annotations": {"path": "a.json", "sha256": "bb"},
        },
        "breakdowns": {},
        "notes": [],
    }
    json.dumps(metrics, allow_nan=False)


def test_missing_answers_score_zero_only_if_allowed(question_set):
    answers = {1: "yes", 2: "no"}
    with pytest.raises(DataError, match="2 of 4 questions have no answer: 3, 4"):
        evaluate(question_set, answers)
    assert evaluate(question_set, answers, allow_missing=True).overall == 50.0
    assert evaluate(question_set, {}, allow_missing=True).overall == 0.0


def test_no_split_name(question_set):
    assert evaluate(question_set, ANSWERS).split == "unnamed"


def test_a_part_without_pairs_says_so(question_set):
    metrics = evaluate(question_set, ANSWERS, subsets={"one": [4]})
    assert metrics.subsets["one"].pair_accuracy["same_question"] == PairAccuracy(None, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subsets": {"x": [1, 77]}}, "subset 'x' names 1 questions .*: 77"),
        ({"subsets": {"x": []}}, "subset 'x' is empty"),
        ({"subsets": {"x": [1, 1]}}, "subset 'x' repeats"),
        ({"pairs": {"x": [(1, 77)]}}, "no pair of 'x'"),
        ({"pairs": {"same_question": [(1, 2)]}}, "is taken"),
        ({"rule": "other"}, "no scoring rule called 'other'"),
    ],
)
def test_refused(question_set, arguments, message):
    with pytest.raises(UsageError, match=message):
        evaluate(question_set, ANSWERS, **arguments)


def test_unknown_questions_are_refused(question_set):
    with pytest.raises(DataError, match="not in the set: 5"):
        evaluate(question_set, {**ANSWERS, 5: "x"})


def test_without_annotations(question_set):
    with pytest.raises(UsageError, match="give the annotations file"):
        evaluate(QuestionSet(question_set.questions, None, {}), ANSWERS)


def test_scoring_does_not_import_torch():
    code = "import sys, vqa_gs.eval.evaluate, vqa_gs.data.glove, vqa_gs.data.split; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
