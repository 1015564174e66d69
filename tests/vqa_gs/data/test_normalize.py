import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa_gs.data.normalize import (
    CONTRACTIONS,
    MARKS,
    normalize_answer,
    normalize_question,
    process_punctuation,
    strip_answer,
    tokenize,
)

GOLDEN = [
    ("red,white", "red white"),
    ("red, white", "red white"),
    ("1,000", "1000"),
    ("1,2-x", "12x"),
    ("t-shirt", "t shirt"),
    ("t- shirt", "t shirt"),
    ("a/b", "b"),
    ("3.", "3"),
    ("u.s.", "us"),
    (".5", ".5"),
    ("3.5", "3.5"),
    ("." * 40, "." * 8),
    ("no one", "no 1"),
    ("None", "0"),
    ("zero", "0"),
    ("Ten", "10"),
    ("twenty", "twenty"),
    ("twenty-two", "twenty 2"),
    ("the", ""),
    ("A", ""),
    ("an apple", "apple"),
    ("The Cat!", "cat"),
    ("dont", "don't"),
    ("Im", "im"),  # dead entry: words are lowered first
    ("ive", "ive"),
    ("Id've", "id've"),
    ("let's", "let's"),
    ("somebody'd", "somebodyd"),  # the table has it the wrong way round
    ("somebodyd've", "somebody'd've"),
    ("'ows'at", "'ow's'at"),
    ("yall'd've", "y'all'd've"),
    ("10:30", "10:30"),
    ("$5", "$5"),
    ("50%", "50%"),
    ("yes!", "yes"),
    ("what?now", "what now"),
    ("what? now", "what now"),
    ("a  b\nc", "b c"),
    ("-", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), GOLDEN)
def test_golden_answers(text, expected):
    assert normalize_answer(text) == expected


def test_the_contractions_are_the_official_ones():
    # The digest was taken from the table in GT-Vision-Lab/VQA, vqaEval.py.
    digest = hashlib.sha256(json.dumps(sorted(CONTRACTIONS.items())).encode()).hexdigest()
    assert len(CONTRACTIONS) == 120
    assert digest == "3e5960526f62912d3b70896069c43c13d7c21be38d50ca28efbb9095b499454f"


def test_marks():
    assert len(set(MARKS)) == len(MARKS) == 21
    assert not set(MARKS) & set(".:'$%&#*|~^")


def test_a_mark_beside_a_space_anywhere_is_deleted_everywhere():
    assert process_punctuation("a-b - c") == "ab  c"
    assert process_punctuation("a-b -c;d") == "ab c d"
    assert process_punctuation("1,0 a-b") == "10 ab"


@given(st.text(alphabet=" ab1,.-;'\n\tTHEtwo", max_size=31))
def test_normalizing_twice_changes_nothing(text):
    once = normalize_answer(text)
    assert normalize_answer(once) == once


def test_strip():
    assert strip_answer(" a\nb\tc\n") == "a b c"
    assert strip_answer("a\r\nb") == "a\r b"


@pytest.mark.parametrize(
    "text",
    [
        "what color is the cat?",
        "What  color is the cat",
        " WHAT COLOR, is the cat ?! ",
        "What color is the cat.",
    ],
)
def test_one_question_in_many_spellings(text):
    assert normalize_question(text) == "what color is the cat"


def test_questions_that_differ_stay_apart():
    assert normalize_question("Are >12 ribs visible?") != normalize_question("Are <12 ribs visible?")
    assert normalize_question("Is it 2.5 m?") == "is it 2.5 m"
    assert normalize_question("a cat") != normalize_question("the cat")
    assert normalize_question("What’s up?") == normalize_question("what's up")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's this?", ["what", "'s", "this"]),
        ("Red, or blue?", ["red", "or", "blue"]),
        ("The boys' dog", ["the", "boys'", "dog"]),
        ("t-shirt.", ["t-shirt."]),
        ("?", []),
    ],
)
def test_tokens(text, expected):
    assert tokenize(text) == expected
