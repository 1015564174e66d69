from pathlib import Path

import pytest
from vqa_gs.eval.question_types import with_question_types

from vqa_gs.data.official_types import QUESTION_TYPES, question_type
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet, read_question_set

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_there_are_65_types():
    assert len(QUESTION_TYPES) == len(set(QUESTION_TYPES)) == 65
    assert {"how many people are in", "what is the color of the", "is", "none of the above"} <= set(QUESTION_TYPES)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many people are in the room?", "how many people are in"),
        ("how many  people are\tthere?", "how many people are"),
        ("What color is the car?", "what color is the"),
        ("What color?", "what color"),
        ("Is thistle blue?", "is"),
        ("Isn't it?", "none of the above"),
        ("Why?", "why"),
        ("What brand/logo is it?", "what"),
        ("What, besides flowers, is on the table?", "none of the above"),
        ("Name the sport.", "none of the above"),
        ("", "none of the above"),
    ],
)
def test_the_longest_beginning_wins(question, kind):
    assert question_type(question) == kind


@pytest.mark.skipif(not (DATA / "vqa2-mini").is_dir(), reason="shared/data/vqa2-mini is absent")
@pytest.mark.parametrize("split", ["train", "iid_val", "ood_test"])
def test_the_published_types_are_found_again(split):
    folder = DATA / "vqa2-mini"
    questions = read_question_set(folder / f"{split}_questions.json.gz", folder / f"{split}_annotations.json.gz")
    found = [question_type(question.question) for question in questions.questions]
    assert found == [annotation.question_type for annotation in questions.annotations]


def test_only_what_lacks_is_assigned():
    questions = [Question(1, 1, "Is it red?"), Question(2, 1, "Is it red?")]
    annotations = [Annotation(1, 1, (Answer("no"),)), Annotation(2, 1, (Answer("no"),), "colour")]
    completed, assigned = with_question_types(QuestionSet(questions, annotations, {}))
    assert assigned == 1
    assert [annotation.question_type for annotation in completed.annotations] == ["is it", "colour"]
    assert annotations[0].question_type == "unknown"
    assert with_question_types(completed) == (completed, 0)
