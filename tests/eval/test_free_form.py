import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.free_form import short_answer

OPEN = "Are the wings open or closed? (a) Open (b) Closed"
CAT = "Which animal is it? Option: A: a cat; B: a dog;"


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("What color is the car?", "red", "red"),
        ("What color is the car?", "The color of the car is **red**.", "red"),
        ("What color is the car?", "It's red. It stands on the road.", "red"),
        ("What is on the table?", "There is a vase of flowers.", "vase of flowers"),
        ("What is it?", "<answer>a dog</answer>", "dog"),
        ("What is it?", "Let me think. \\boxed{blue}", "blue"),
        ("What is it?", "Step 1: look. Answer: a blue bird", "blue bird"),
        ("What is it?", "Hmm.\nThe answer is cat.", "cat"),
        ("Is it red?", "Yes, the car in front is red.", "yes"),
        ("Is it red?", "I see no car.", "no"),
        ("Is it red or blue?", "It is blue.", "blue"),
        ("How many dogs are there?", "There are three dogs, and no cat.", "3"),
        ("How many dogs are there?", "12", "12"),
        ("How many dogs are there?", "There are twenty-five", "twenty-five"),
        ("How many people are there?", "two hundred people", "two hundred people"),
        ("How many legs has it?", "The three-legged stool has 1,000, or 3.", "1,000"),
        ("How many dogs are there?", "I see none of them.", "0"),
        (OPEN, "(b)", "B"),
        (OPEN, "The answer is (b) Closed.", "B"),
        (OPEN, "They look closed.", "B"),
        (OPEN, "Open, not closed", "Open, not closed"),
        (CAT, "A", "A"),
        (CAT, "B: a dog", "B"),
        (CAT, "It is a dog", "B"),
        ("What is it?", "", ""),
        ("What is it?", "The man is going down a long dark road", "The man is going down a long dark road"),
    ],
)
def test_short_answers(question, text, answer):
    assert short_answer(text, question) == answer


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["What is it?", "Is it?", "How many?", OPEN, CAT, ""]))
def test_a_short_answer_stays_as_it_is(text, question):
    once = short_answer(text, question)
    assert len(once) <= max(len(text), 2)
    if len(once.split()) <= 1 and once.isalnum():
        assert short_answer(once, question) == once


def test_hostile_texts_take_no_long_time():
    for text in ("<answer>" * 20_000, "answer:" * 20_000, "the " * 20_000 + "is", "(a" * 50_000, "\\boxed{" * 20_000):
        assert short_answer(text, OPEN) is not None
    assert short_answer("1," * 9_000 + "1x", "How many are there?") is not None
