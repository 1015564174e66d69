"""Average precision against a slow transcription of its definition, and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_gs.eval.average_precision import average_precision, intervals, mean_average_precision
from vqa_gs.eval.label_metrics import label_metrics
from vqa_gs.eval.metrics_file import read_metrics, write_metrics

from vqa_gs.common.errors import UsageError


def slow(scores, labels):
    """Rise in recall times precision, threshold by threshold, from the highest score down."""
    positives = sum(labels)
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = sum(called) / positives
        total += (recall - before) * sum(called) / len(called)
        before = recall
    return total


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0], 1.0),
        ([0.6, 0.7, 0.8, 0.9], [1, 1, 0, 0], (1 / 3 + 2 / 4) / 2),
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], (1 + 2 / 4) / 2),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 1 / 4),  # one rank: what a constant deserves
        ([0.5, 0.5, 0.1, 0.9], [1, 0, 1, 0], (1 / 3 + 2 / 4) / 2),
        ([-3.0, 2.0], [1, 1], 1.0),
    ],
)
def test_by_hand(scores, labels, expected):
    assert average_precision(np.array(scores), np.array(labels, bool)) == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=30))
def test_against_the_definition(rows):
    scores, labels = np.array([float(score) for score, _ in rows]), np.array([label for _, label in rows])
    found = average_precision(scores, labels)
    if labels.any():
        assert found == pytest.approx(slow(scores.tolist(), labels.tolist()))
        assert average_precision(np.exp(scores), labels) == pytest.approx(found)  # the order alone matters
    else:
        assert found is None


def test_class_that_no_image_shows_is_left_out_of_the_mean():
    scores = np.array([[0.9, 0.1, 0.3], [0.2, 0.4, 0.5]])
    labels = np.array([[True, False, True], [False, False, False]])
    found = mean_average_precision(scores, labels)
    assert found.by_class == [100.0, None, 50.0]
    assert found.mean == 75.0
    assert mean_average_precision(scores, np.zeros_like(labels)).mean is None


def test_bad_input_is_refused():
    with pytest.raises(UsageError, match="give one score for each label"):
        mean_average_precision(np.zeros((2, 3)), np.zeros((2, 2), bool))
    with pytest.raises(UsageError, match="not a number"):
        mean_average_precision(np.array([[np.nan]]), np.ones((1, 1), bool))
    with pytest.raises(UsageError, match="no image of test shows any class"):
        label_metrics(np.zeros((2, 1)), np.zeros((2, 1), bool), ["cat"], "test", {})


def test_intervals_are_those_of_resampled_images():
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < (0.3, 0.5, 0.02)
    labels[:, 2] = False
    labels[7, 2] = True
    scores = labels + rng.normal(0, 1, labels.shape)
    whole, each = intervals(scores, labels, replicates=300, seed=5)
    assert each[2] is None  # one image: no spread to learn of

    # The same draws as lists of images, each scored by the plain function.
    draws = np.random.default_rng(5)
    means, first = [], []
    for start in range(0, 300, 32):
        drawn = draws.integers(60, size=(60, min(32, 300 - start)), dtype=np.int32)
        for images in drawn.T:
            found = mean_average_precision(scores[images], labels[images])
            means.append(found.mean)
            first.append(found.by_class[0])
    assert whole == pytest.approx(np.percentile(means, [2.5, 97.5]))
    assert each[0] == pytest.approx(np.percentile(first, [2.5, 97.5]))


def test_metrics_file_is_read_as_every_other(tmp_path):
    rng = np.random.default_rng(1)
    labels = rng.random((40, 2)) < 0.4
    labels = np.column_stack([labels, np.zeros(40, bool)])
    scores = labels + rng.normal(0, 1, labels.shape)
    sources = {"instances": {"path": "x.json", "sha256": "0" * 64}}
    written = label_metrics(scores, labels, ["cat", "dog", "cow"], "ood_edited", sources)
    write_metrics(tmp_path / "m.json", written)
    read = read_metrics(tmp_path / "m.json")
    assert read == written
    assert (read.scoring, read.side, read.questions) == ("mAP", "ood", 40)
    assert set(read.per_answer_type) == {"cat", "dog"}
    assert read.overall == pytest.approx(sum(read.per_answer_type.values()) / 2)
    assert read.counts.per_answer_type == {"cat": labels[:, 0].sum(), "dog": labels[:, 1].sum()}
    assert read.intervals is not None
    low, high = read.intervals.overall
    assert low < read.overall < high
    assert read.notes == ["left out of the mean, as no image shows them: cow"]
