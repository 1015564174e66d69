import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.questions import Annotation, Answer, read_question_set
from vqa_gs.data.targets import SoftTargets, leave_one_out_accuracy, soft_targets
from vqa_gs.data.vocabulary import AnswerVocabulary


def annotation(*answers):
    return Annotation(1, 1, tuple(Answer(text, "yes", n) for n, text in enumerate(answers, 1)))


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_closed_form_is_leave_one_out(case):
    votes, answers = case
    given_answers = [True] * votes + [False] * (answers - votes)
    thirds = [min(1, (votes - own) / 3) for own in given_answers]
    assert leave_one_out_accuracy(votes, answers) == pytest.approx(sum(thirds) / answers, abs=1e-12)


def test_ten_answers_and_one():
    assert [leave_one_out_accuracy(votes, 10) for votes in range(6)] == [0, 0.3, 0.6, 0.9, 1, 1]
    assert [leave_one_out_accuracy(votes, 1) for votes in range(2)] == [0, 1]


VOCABULARY = AnswerVocabulary(["yes", "no", "2", "t shirt"])


def test_votes_are_counted_after_normalising():
    targets = soft_targets(
        [
            annotation(*["Two"] * 2, *["2"] * 2, *["3"] * 6),
            annotation(*["Yes"] * 10),
            annotation(*["red"] * 10),
            annotation("t-shirt\n", "No!", *["red"] * 8),
            annotation("no"),
        ],
        VOCABULARY,
    )
    assert targets.first.tolist() == [0, 1, 2, 2, 4, 5]
    assert targets.label.tolist() == [2, 0, 1, 3, 1]
    assert targets.score.tolist() == pytest.approx([1, 1, 0.3, 0.3, 1])
    assert targets.best().tolist() == [2, 0, -1, 1, 1]
    assert len(targets) == 5
    assert (targets.first.dtype, targets.label.dtype, targets.score.dtype) == (np.int64, np.int32, np.float32)


def test_dense_rows():
    targets = SoftTargets.from_arrays([0, 2, 2, 3], [0, 3, 1], [0.3, 1.0, 0.6], 4)
    expected = np.array([[0.3, 0, 0, 1], [0, 0, 0, 0], [0, 0.6, 0, 0]], np.float32)
    np.testing.assert_array_equal(targets.dense([0, 1, 2]), expected)
    np.testing.assert_array_equal(targets.dense(np.array([2, 0, 2])), expected[[2, 0, 2]])
    np.testing.assert_array_equal(targets.dense([-1, -3]), expected[[-1, -3]])
    assert targets.dense([]).shape == (0, 4)
    assert targets.dense([0]).dtype == np.float32
    with pytest.raises(IndexError):
        targets.dense([3])
    with pytest.raises(IndexError):
        targets.dense([-4])


def test_dense_uses_given_memory_again():
    targets = SoftTargets.from_arrays([0, 1, 2], [0, 1], [1.0, 0.9], 2)
    out = np.full((3, 2), 7, np.float32)
    result = targets.dense([1, 0], out=out)
    assert np.shares_memory(result, out)
    np.testing.assert_array_equal(result, np.array([[0, 0.9], [1, 0]], np.float32))
    for wrong in (np.zeros((1, 2), np.float32), np.zeros((2, 3), np.float32), np.zeros((2, 2))):
        with pytest.raises(UsageError, match="`out` is"):
            targets.dense([0, 1], out=wrong)


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.3, 0.6, 1.0])), max_size=4), max_size=8))
def test_best_is_the_first_maximum(rows):
    rows = [sorted(dict(row).items()) for row in rows]
    first = np.cumsum([0, *map(len, rows)])
    flat = [entry for row in rows for entry in row]
    targets = SoftTargets.from_arrays(first, [e[0] for e in flat], [e[1] for e in flat], 6)
    expected = [max(row, key=lambda entry: (entry[1], -entry[0]))[0] if row else -1 for row in rows]
    assert targets.best().tolist() == expected
    if rows:
        dense = targets.dense(range(len(rows)))
        assert [int(line.argmax()) if line.any() else -1 for line in dense] == expected


@pytest.mark.parametrize(
    ("first", "label", "score", "message"),
    [
        ([0, 1], [0, 1], [1.0, 1.0], "do not cover"),
        ([1, 2], [0, 1], [1.0, 1.0], "do not cover"),
        ([0, 2, 1, 2], [0, 1], [1.0, 1.0], "do not cover"),
        ([0, 1], [2], [1.0], "labels from 2 to 2 in a vocabulary of 2"),
        ([0, 1], [-1], [1.0], "labels from -1"),
        ([0, 1], [0], [30.0], "outside 0..1"),
        ([0, 1], [0], [float("nan")], "outside 0..1"),
        ([0, 1], [0], [1.0, 1.0], "of shapes"),
        ([], [], [], "of shapes"),
    ],
)
def test_arrays_that_do_not_fit(first, label, score, message):
    with pytest.raises(UsageError, match=message):
        SoftTargets.from_arrays(first, label, score, 2)


def test_no_answers():
    with pytest.raises(DataError, match=r"question 1: .*no answers"):
        soft_targets([annotation()], VOCABULARY)


def test_real_targets(shared_data):
    folder = shared_data / "vqa2-mini"
    read = read_question_set(folder / "iid_val_questions.json.gz", folder / "iid_val_annotations.json.gz")
    vocabulary = AnswerVocabulary.build(read.annotations)
    targets = soft_targets(read.annotations, vocabulary)
    assert set(np.unique(targets.score)) == set(np.array([0.3, 0.6, 0.9, 1], np.float32))
    known = targets.best() >= 0
    assert known.mean() > 0.65
    assert targets.dense(np.flatnonzero(known)[:64]).max(axis=1).min() > 0
