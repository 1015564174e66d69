import pytest

from vqa_gs.common.errors import UsageError
from vqa_gs.training.schedule import learning_rate


def test_constant_stays():
    assert {learning_rate(0.5, "constant", step, 10) for step in range(11)} == {0.5}


def test_cosine_by_hand():
    assert [learning_rate(2.0, "cosine", step, 6) for step in (0, 2, 3, 4, 6, 9)] == pytest.approx(
        [2, 1.5, 1, 0.5, 0, 0]
    )


def test_other_names_are_refused():
    with pytest.raises(UsageError, match="linear"):
        learning_rate(1.0, "linear", 0, 1)
