import random
from collections import Counter

import numpy as np
import pytest

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet, read_question_set
from vqa_gs.data.split import hold_out


def make(images=200, seed=0):
    generator = random.Random(seed)
    rows = []
    for image in range(images):
        for k in range(generator.randint(1, 6)):
            kind = generator.choices(["what", "how many", "is"], [6, 3, 1])[0]
            rows.append((image * 10 + k, image if image % 2 else f"s{image}", kind))
    generator.shuffle(rows)
    return QuestionSet(
        [Question(key, image, "?") for key, image, _ in rows],
        [Annotation(key, image, (Answer("a"),), kind) for key, image, kind in rows],
        {},
    )


def test_no_image_is_on_both_sides_and_every_question_on_one():
    whole = make()
    train, held = hold_out(whole, 0.2, 0)
    assert sorted([*train, *held]) == list(range(len(whole)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()
    assert train.dtype == held.dtype == np.int64
    assert not set(whole.subset(train).image_ids) & set(whole.subset(held).image_ids)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
def test_shares_of_the_types(fraction):
    whole = make(500)
    _, held = hold_out(whole, fraction, 3)
    assert len(held) / len(whole) == pytest.approx(fraction, rel=0.12)
    wish = Counter(a.question_type for a in whole.annotations)
    got = Counter(whole.annotations[row].question_type for row in held)
    for kind, count in wish.items():
        assert got[kind] == pytest.approx(fraction * count, abs=max(8, 0.04 * count))


def test_deterministic_whatever_the_files_order():
    whole = make()
    train, held = hold_out(whole, 0.1, 1)
    again = hold_out(whole, 0.1, 1)
    np.testing.assert_array_equal(train, again[0])
    turned = whole.subset(range(len(whole))[::-1])
    ids = {whole.question_ids[row] for row in held}
    assert {turned.question_ids[row] for row in hold_out(turned, 0.1, 1)[1]} == ids
    assert {whole.question_ids[row] for row in hold_out(whole, 0.1, 2)[1]} != ids


def test_without_annotations():
    whole = make()
    _, held = hold_out(QuestionSet(whole.questions, None, {}), 0.3, 0)
    assert len(held) / len(whole) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_neither_side_is_empty(fraction):
    two = QuestionSet([Question(n, n % 2, "?") for n in range(6)], None, {})
    train, held = hold_out(two, fraction, 0)
    assert len(train) == len(held) == 3


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 10, float("nan")])
def test_fractions_that_make_no_sense(fraction):
    with pytest.raises(UsageError, match="choose one between 0 and 1"):
        hold_out(make(5), fraction, 0)


def test_one_image():
    with pytest.raises(UsageError, match="one image"):
        hold_out(QuestionSet([Question(n, 1, "?") for n in range(6)], None, {}), 0.5, 0)


def test_real_questions(shared_data):
    folder = shared_data / "vqa2-mini"
    whole = read_question_set(folder / "train_questions.json.gz", folder / "train_annotations.json.gz")
    _, held = hold_out(whole, 0.1, 0)
    assert len(held) == pytest.approx(2170, rel=0.05)
    wish = Counter(a.question_type for a in whole.annotations)
    got = Counter(whole.annotations[row].question_type for row in held)
    assert max(abs(got[kind] - 0.1 * count) for kind, count in wish.items()) < 15
