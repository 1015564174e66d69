import doctest

import pytest

from vqa_gs.data import known_sets
from vqa_gs.data.check import check_data, missing_half, upper_bound
from vqa_gs.data.known_sets import KNOWN_SETS, recognise
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet
from vqa_gs.data.vocabulary import AnswerVocabulary


def annotation(number, votes, answer_type="other"):
    answers = [Answer(answer, "yes", at) for at, answer in enumerate(votes)]
    return Annotation(
        question_id=number,
        image_id=number,
        question_type="what is",
        answer_type=answer_type,
        multiple_choice_answer=votes[0],
        answers=answers,
    )


def question_set(votes, halves=("train2014",), answer_types=("other",)):
    questions = [Question(n, n, "What is it?", halves[n % len(halves)]) for n in range(len(votes))]
    annotations = [annotation(n, one, answer_types[n % len(answer_types)]) for n, one in enumerate(votes)]
    return QuestionSet(questions, annotations, {})


VOTES = [["cat"] * 10, ["cat"] * 2 + ["dog"] * 8, ["emu"] * 9 + ["cat"], ["cat"] * 3 + ["emu"] * 7]


def test_the_upper_bound_is_the_mean_of_the_best_known_answers():
    known = AnswerVocabulary(["cat"])
    by_hand = [1.0, 0.6, 0.3, 0.9]  # ten, two, one and three votes of ten
    assert upper_bound(question_set(VOTES).annotations, known) == pytest.approx(25 * sum(by_hand))


def test_counts():
    found = check_data(question_set(VOTES, answer_types=("other", "number")), {0, 1, 2, 3, 9, 10}, min_questions=3)
    assert (found.questions, found.images, found.answers, found.question_types) == (4, 4, 40, 1)
    assert found.answer_types == {"other": 50.0, "number": 50.0}
    assert found.vocabulary == 1  # what most said: cat, cat, emu, cat in the files' own majority
    assert (found.missing, found.unused, found.missing_note) == ([], 2, "")
    assert found.recognised == "this is none of the published sets that are known here"


def test_vocabularies_come_from_training():
    train = [annotation(number, ["emu"] * 10) for number in range(9)]
    found = check_data(question_set(VOTES), train=train)
    assert found.vocabulary == 1
    assert found.upper_bound == pytest.approx(25 * (0 + 0 + 1 + 1))
    alone = check_data(question_set(VOTES))
    assert (alone.vocabulary, alone.upper_bound) == (None, None)  # no answer has nine questions


def test_a_missing_half_is_named():
    both = question_set(VOTES, halves=("train2014", "val2014"))
    found = check_data(both, {0, 2})
    assert found.missing == [1, 3]
    assert "all of val2014" in found.missing_note
    assert check_data(both, {0}).missing_note == ""  # of both halves
    assert check_data(both, {0, 2, 3}).missing_note == ""  # one of that half is there
    assert missing_half(both.questions, set()) == ""
    unknown = [Question(1, 1, "What?", None)]
    assert missing_half(unknown, {1}) == ""


@pytest.mark.parametrize("known", KNOWN_SETS, ids=lambda known: known.name)
def test_every_known_set_is_recognised_and_told_from_its_damaged_likes(known):
    facts = (known.questions, known.answer_types, known.vocabulary, known.upper_bound, known.images)
    stated = known.answer_types or known.vocabulary or known.images
    how = "" if not known.in_papers else ", as the papers used it"
    assert recognise(*facts) == f"this is {known.name}{how if stated else ', by its size alone'}"
    assert recognise(known.questions, {}) == f"this is {known.name}, by its size alone"
    short = recognise(known.questions - 1, *facts[1:])
    assert known.name in short
    assert "1 questions are missing" in short
    assert "2 questions too many" in recognise(known.questions + 2, *facts[1:])
    if known.answer_types:
        moved = {name: share + 0.1 for name, share in known.answer_types.items()}
        told = recognise(known.questions, moved)
        assert ("is not what the papers used: yes/no is" if known.in_papers else "is not that set: yes/no is") in told
    if known.vocabulary:
        told = recognise(known.questions, {}, known.vocabulary - 1)
        assert f"its vocabulary is {known.vocabulary - 1:,}, not {known.vocabulary:,}" in told


def test_no_two_known_sets_have_one_size():
    assert len({known.questions for known in KNOWN_SETS}) == len(KNOWN_SETS)


def test_examples():
    assert doctest.testmod(known_sets).failed == 0
