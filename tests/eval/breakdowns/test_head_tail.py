import numpy as np
import pytest
from vqa_gs.eval.breakdowns.head_tail import ALPHAS, normalized_entropy, relative_frequencies


def rows_of(counts, right=()):
    """Rows of each (type, answer, how many); answers in ``right`` are predicted rightly."""
    rows, key = [], 0
    for kind, answer, count in counts:
        for _ in range(count):
            rows.append((key, kind, "other", answer, answer if answer in right else "wrong"))
            key += 1
    return rows


COUNTS = [
    # Imbalanced: 10, 1, 1 questions; the mean is 4, so only the first is in the head at alpha 0.2.
    ("what", "red", 10), ("what", "blue", 1), ("what", "green", 1),
    # Balanced: left out by the entropy of the groups.
    ("how", "1", 4), ("how", "2", 4), ("how", "3", 4),
    ("is", "yes", 3), ("is", "no", 3),
]  # fmt: skip


def test_head_and_tail_by_hand(scored, section_of):
    section = section_of("head_tail", scored(rows_of(COUNTS, right={"red", "blue", "1", "yes"})))
    assert section["imbalanced_groups"] == ["what"]
    assert (section["head"], section["head_questions"]) == (100.0, 10)
    assert (section["tail"], section["tail_questions"]) == (50.0, 2)
    # Over all groups the balanced answers are at 1 times the mean, below 1.2: in the tail.
    assert section["all_groups"]["head_questions"] == 10
    assert section["all_groups"]["tail_questions"] == 2 + 12 + 6
    assert section["all_groups"]["tail"] == pytest.approx(100 * (1 + 4 + 3) / 20)


def test_the_curve_has_the_published_alphas(scored, section_of):
    section = section_of("head_tail", scored(rows_of(COUNTS, right={"red"})))
    curve = {point["alpha"]: point for point in section["curve"]}
    assert tuple(curve) == ALPHAS
    assert len(ALPHAS) == 22
    # "red" is 2.5 times as frequent as the mean: in the tail from alpha above 1.5.
    assert (curve[1.8]["questions"], curve[1.4]["questions"]) == (12, 2)
    assert curve[1.8]["tail"] == pytest.approx(1000 / 12)
    # "blue" and "green" are at 0.25: not below 1 - 0.75.
    assert curve[-0.7]["questions"] == 2


def test_local_groups_come_before_question_types(scored, section_of):
    rows = rows_of(COUNTS)
    groups = {row[0]: "one" for row in rows}
    section = section_of("head_tail", scored(rows, local_groups=groups))
    assert section["groups"] == "local"
    assert section["imbalanced_groups"] == ["one"]


def test_entropy_as_gqa_ood_computes_it():
    assert normalized_entropy(np.array([5])) == 1
    assert normalized_entropy(np.array([3, 3])) == pytest.approx(1, abs=1e-6)
    shares = np.array([0.75, 0.25])
    assert normalized_entropy(np.array([3, 1])) == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-6)


def test_a_group_at_the_threshold_is_imbalanced():
    frequency, imbalanced = relative_frequencies(["a", "a", "b", "b"], ["x", "y", "x", "y"])
    assert frequency.tolist() == [1, 1, 1, 1]
    assert imbalanced.all()
