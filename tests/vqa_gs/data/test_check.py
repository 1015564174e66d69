import doctest

import pytest

from benchmarks.made_up import questions_of
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
    assert found.recognised.startswith("this is none of the published sets")
    assert (found.halves, found.repeated) == ({"train2014": 4}, 0)


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
    assert (found.missing, found.halves) == ([1, 3], {"train2014": 2, "val2014": 2})
    assert "no image of val2014 has" in found.missing_note
    assert "no image of val2014 has" in check_data(both, {0}).missing_note  # beside one of the other
    assert check_data(both, {0, 3}).missing_note == ""  # some of each are there
    assert check_data(both, {0, 2, 3}).missing_note == ""  # one of that half is there
    assert check_data(both, set()).missing_note == ""  # none of either: another set's features
    assert missing_half(both.questions, set()) == ""
    unknown = [Question(1, 1, "What?", None)]
    assert missing_half(unknown, {1}) == ""


@pytest.mark.parametrize("known", KNOWN_SETS, ids=lambda known: known.name)
def test_every_known_set_is_recognised_and_told_from_its_damaged_likes(known):
    facts = (known.questions, known.answer_types, known.vocabulary, known.upper_bound, known.images)
    stated = known.answer_types or known.vocabulary or known.images
    how = f", {known.remark}" if known.remark else ", as the papers used it"
    if stated:
        assert recognise(*facts).startswith(f"this is {known.name}{how}: number of questions, ")
        assert recognise(*facts).endswith(" agree")
    alone = recognise(known.questions, {})
    assert alone.startswith(f"this has as many questions as {known.name}")
    assert ("not compared: " if stated else "nothing more is known here") in alone
    assert ("not VQA-CP" in alone) == known.name.startswith("vqa2-mini")
    short, long = recognise(known.questions - 1, *facts[1:]), recognise(known.questions + 2, *facts[1:])
    assert short.startswith(f"this is nearly {known.name}, but not ")
    assert f"it has 1 question fewer than the {known.questions:,}" in short
    assert "it has 2 questions more" in long
    if known.answer_types:
        moved = {name: share + 0.1 for name, share in known.answer_types.items()}
        told = recognise(known.questions, moved)
        assert ("is not that set: yes/no is" if known.remark else "is not what the papers used: yes/no is") in told
    if known.vocabulary:
        told = recognise(known.questions, {}, known.vocabulary - 1)
        assert f"its vocabulary is {known.vocabulary - 1:,}, not {known.vocabulary:,}" in told


UNLIKE = "but is not what the papers used"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            (438_183, {"other": 48.0}, 95, None, 119_700),
            f"this has as many questions as VQA-CP v2 train, {UNLIKE}: its vocabulary is 95, not 2,274",
        ),
        (
            (219_928, {"yes/no": 33.98, "number": 15.26, "other": 55.61}, None, None, 1),
            f"this has as many questions as VQA-CP v2 test, {UNLIKE}: yes/no is 33.98 % of it, not 29.14; not compared",
        ),
        ((438_183, {}), "this has as many questions as VQA-CP v2 train; not compared: vocabulary"),
        ((244_547, {}), "this has as many questions as VQA-CP v1 train; nothing more is known here to compare"),
        ((436_000, {}), "this is nearly VQA-CP v2 train, but not what the papers used: it has 2,183 questions fewer"),
        (
            (21_909, {"yes/no": 34.0, "number": 18.0, "other": 48.0}, None, None, 18_000),
            "this is none of the published sets that are known here; it has about as many questions as vqa2-mini",
        ),
        ((300_000, {}), "this is none of the published sets that are known here, by its number of questions"),
    ],
)
def test_what_was_compared_is_told(facts, sentence):
    assert recognise(*facts).startswith(sentence)


def test_files_of_full_size_that_were_made_up_are_not_taken_for_the_real_ones():
    told = check_data(questions_of(219_928, 123_287, 1), range(123_287)).recognised
    assert told.startswith(f"this has as many questions as VQA-CP v2 test, {UNLIKE}: ")
    assert told.endswith("not compared: upper bound")


def test_questions_that_training_refuses_are_counted():
    twice = question_set(VOTES)
    twice.questions[3] = Question(0, 3, "What is it?", "train2014")
    assert check_data(twice).repeated == 1


def test_the_official_bound_is_for_ten_answers():
    found = check_data(question_set([["cat"]] * 9))
    assert (found.vocabulary, found.upper_bound) == (1, None)


def test_no_two_known_sets_have_one_size():
    assert len({known.questions for known in KNOWN_SETS}) == len(KNOWN_SETS)


def test_examples():
    assert doctest.testmod(known_sets).failed == 0
