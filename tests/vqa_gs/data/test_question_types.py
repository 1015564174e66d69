import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa_gs.common.errors import DataError
from vqa_gs.data.question_types import QuestionTypes

NAMES = ["is this", "is this a", "what", "none of the above"]
TRAINING = [
    ("Is this a dog?", 1),
    ("Is this a cat?", 1),
    ("Is this a boat", 1),
    ("Is this wood?", 0),
    ("What is it", 2),
    ("Was it good?", 3),
    ("Was it raining?", 3),
]


@pytest.fixture
def types():
    return QuestionTypes.build(*zip(*TRAINING, strict=True), NAMES)


def test_longest_type_that_begins_the_question_counts(types):
    asked = ["Is this metal?", "is this a tree", "IS THIS?", "What about that", "Was there snow", "Could it be", ""]
    assert types.of(asked).tolist() == [0, 1, 0, 2, 3, -1, -1]


def test_training_questions_have_their_own_types(types):
    assert types.of([question for question, _ in TRAINING]).tolist() == [code for _, code in TRAINING]


def test_nothing_is_kept_that_a_shorter_beginning_says(types):
    assert types.beginnings == {"is": 1, "is this": 0, "is this a": 1, "what": 2, "was": 3}


def test_types_that_are_no_beginnings_are_told_by_what_training_questions_begin_with():
    types = QuestionTypes.build(
        ["what color is it", "what shape is it", "what color are they"], [0, 1, 0], ["color", "shape"]
    )
    assert types.of(["what color was the ball", "what shape was the ball"]).tolist() == [0, 1]


def test_saved_and_read_again(types, tmp_path):
    types.save(tmp_path / "types.json")
    read = QuestionTypes.load(tmp_path / "types.json")
    assert (read.names, read.beginnings) == (types.names, types.beginnings)
    (tmp_path / "types.json").write_text('{"names": 3}')
    with pytest.raises(DataError, match=r"types.json"):
        QuestionTypes.load(tmp_path / "types.json")


@given(st.lists(st.tuples(st.text(alphabet="ab ", max_size=8), st.integers(0, 2)), max_size=20), st.text(max_size=8))
def test_same_as_a_search_through_all_training_questions(training, asked):
    """The slow way: the type of the most training questions that share the longest beginning."""
    types = QuestionTypes.build([text for text, _ in training], [code for _, code in training], ["x", "y", "z"])
    for question in [asked, *(text for text, _ in training)]:
        words, expected = question.lower().split(), -1
        for length in range(1, len(words) + 1):
            same = [code for text, code in training if text.split()[:length] == words[:length]]
            if same:
                expected = max(dict.fromkeys(same), key=same.count)
        if question.isascii() and question.replace(" ", "").isalpha():
            assert types.of([question]).tolist() == [expected]
