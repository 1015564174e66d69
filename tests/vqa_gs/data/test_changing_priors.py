from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.common.errors import UsageError
from vqa_gs.data.changing_priors import _STOP_WORDS, ChangingPriors, changing_priors, one_side_an_image
from vqa_gs.data.normalize import tokenize
from vqa_gs.data.priors import answer_priors
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

TYPES = ["what color is the", "is there a", "how many", "what is"]
ANSWERS = ["red", "blue", "Yes", "no", "1", "2", "red and blue", "fire hydrant", "hydrant"]


def make(rows):
    """A question set of (question type, answer) rows."""
    return QuestionSet(
        [Question(key, key % 50, f"{kind} thing?") for key, (kind, _) in enumerate(rows)],
        [
            Annotation(key, key % 50, (Answer(answer),), kind, "yes/no" if answer in ("Yes", "no") else "other")
            for key, (kind, answer) in enumerate(rows)
        ],
        {},
    )


def sample(count=3000, seed=0):
    generator = np.random.default_rng(seed)
    return make([(TYPES[generator.integers(4)], ANSWERS[generator.integers(9)]) for _ in range(count)])


def groups_of(question_set):
    return {(a.question_type, a.majority.lower()) for a in question_set.annotations}


def test_a_group_is_on_one_side_only_and_every_question_on_one():
    whole = sample()
    split = changing_priors(whole, seed=1)
    assert sorted([*split.train, *split.test]) == list(range(len(whole)))
    assert split.train.dtype == split.test.dtype == np.int64
    train, test = whole.subset(split.train), whole.subset(split.test)
    assert not groups_of(train) & groups_of(test)
    assert split.groups == len(groups_of(whole)) == 36
    assert 0.25 < len(test) / len(whole) < 0.4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(ANSWERS)), min_size=2, max_size=120),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_training_covers_words_and_types_of_test(rows, share, seed):
    whole = make(rows)
    try:
        split = changing_priors(whole, test_share=share, seed=seed)
    except UsageError:
        return
    train, test = whole.subset(split.train), whole.subset(split.test)

    def words(part):
        return {word for kind, answer in groups_of(part) for word in tokenize(f"{kind} {answer}")} - _STOP_WORDS

    assert words(test) <= words(train)
    assert set(answer_priors(test.annotations)) <= set(answer_priors(train.annotations))
    assert len(test) <= share * len(whole) + max(Counter(groups_of(whole)).values()) * len(whole) / 2


def test_the_order_of_the_file_has_no_say():
    whole = sample(500)
    order = np.random.default_rng(3).permutation(len(whole))
    shuffled = whole.subset(order)
    first = {whole.question_ids[row] for row in changing_priors(whole, seed=2).test}
    second = {shuffled.question_ids[row] for row in changing_priors(shuffled, seed=2).test}
    assert first == second
    assert first != {whole.question_ids[row] for row in changing_priors(whole, seed=3).test}


def test_groups_by_other_fields():
    whole = sample()
    split = changing_priors(whole, ["answer_type", "answer"])
    train, test = whole.subset(split.train), whole.subset(split.test)
    assert not {a.majority.lower() for a in train.annotations} & {a.majority.lower() for a in test.annotations}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["colour"]}, "'colour'"),
        ({"groups": []}, "nothing"),
        ({"test_share": 1.0}, "1.0"),
        ({"groups": ["answer_type"], "test_share": 0.001}, "no group"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UsageError, match=message):
        changing_priors(sample(200), **arguments)


def test_one_group_and_no_annotations_are_refused():
    with pytest.raises(UsageError, match="one group"):
        changing_priors(make([("is there a", "yes")] * 5))
    whole = sample(20)
    with pytest.raises(UsageError, match="annotations"):
        changing_priors(QuestionSet(whole.questions, None, {}))


@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_an_overlap_keeps_that_share_of_every_group_on_the_other_side(overlap):
    whole = sample()
    apart, graded = (changing_priors(whole, seed=2, overlap=share) for share in (0.0, overlap))
    home = dict.fromkeys(apart.test.tolist(), True)
    away, sizes = Counter(), Counter()
    in_test = set(graded.test.tolist())
    for row, annotation in enumerate(whole.annotations):
        group = (annotation.question_type, annotation.majority)
        sizes[group] += 1
        away[group] += (row in in_test) != home.get(row, False)
    assert all(abs(away[group] - overlap * size) < 1 for group, size in sizes.items())
    assert sorted([*graded.train, *graded.test]) == list(range(len(whole)))


def test_an_overlap_does_not_depend_on_the_file_s_order():
    whole = sample(400)
    order = np.random.default_rng(0).permutation(len(whole))
    shuffled = whole.subset(order)
    one, other = (changing_priors(part, overlap=0.2) for part in (whole, shuffled))
    assert {whole.question_ids[row] for row in one.test} == {shuffled.question_ids[row] for row in other.test}


def test_an_overlap_that_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match=r"an overlap of 0\.6"):
        changing_priors(sample(50), overlap=0.6)


def about_images(images):
    questions = [Question(key, image, "what?") for key, image in enumerate(images)]
    return QuestionSet(questions, None, {})


def test_both_sides_keep_about_the_same_share():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, 900).tolist()
    rows = rng.permutation(900)
    whole = ChangingPriors(np.sort(rows[:600]), np.sort(rows[600:]), 9)
    kept = one_side_an_image(about_images(images), whole, {})
    assert not {images[row] for row in kept.train} & {images[row] for row in kept.test}
    assert set(kept.train) <= set(whole.train)
    assert set(kept.test) <= set(whole.test)
    assert len(kept.train) / 600 == pytest.approx(len(kept.test) / 300, abs=0.02)
    assert len(kept.train) > 0.6 * 600, "more than a random half"
    assert kept.groups == 9


def test_images_that_are_alike_in_all_are_shared_out():
    whole = ChangingPriors(np.arange(0, 40, 2), np.arange(1, 40, 2), 2)
    questions = about_images([row // 2 for row in range(40)])
    kept = one_side_an_image(questions, whole, {})
    assert (len(kept.train), len(kept.test)) == (10, 10)
    assert not np.array_equal(kept.train, one_side_an_image(questions, whole, {}, seed=1).train)
    pairs = {image: image - image % 2 for image in range(20)}
    kept = one_side_an_image(questions, whole, pairs)
    assert not {row // 4 for row in kept.train} & {row // 4 for row in kept.test}
    with pytest.raises(UsageError, match="all images are of one side"):
        one_side_an_image(questions, whole, dict.fromkeys(range(20), 0))
