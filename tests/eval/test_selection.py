import pytest
from vqa_gs.eval.metrics_file import metrics_to_json
from vqa_gs.eval.model_selection import keep_best, names_a_test, require_selectable
from vqa_gs.eval.runs import SplitMetrics

from vqa_gs.common.errors import UsageError


@pytest.mark.parametrize(
    ("split", "questions", "expected"),
    [
        ("ood_test", "q.json", True),
        ("test-dev2015", "q.json", True),
        (None, "data/vqacp_v2_test_questions.json", True),
        (None, "test/vqacp_v2_train_questions.json", False),
        (None, "ood_testdev_all.json", True),
        ("iid_val", "vqacp_v2_test_questions.json", False),
        ("latest", "q.json", False),
        ("wood", "q.json", False),
    ],
)
def test_names_of_test_splits(split, questions, expected):
    assert names_a_test(split, questions) is expected


def test_a_choice_on_a_test_split_is_refused_unless_acknowledged():
    with pytest.raises(UsageError, match="the best of 2 results on a test split.*--i-know-this-is-test-selection"):
        require_selectable(True, ["a", "b"], acknowledged=False)
    require_selectable(True, ["a", "b"], acknowledged=True)
    require_selectable(False, ["a", "b"], acknowledged=False)


def test_the_choice_is_recorded():
    scored = {name: SplitMetrics("official", "val", score) for name, score in (("a", 50.0), ("b", 60.0), ("c", 60.0))}
    kept = metrics_to_json(keep_best(scored, is_test=True))
    assert kept["overall"] == 60.0
    assert kept["selection"] == {"kept": "b", "candidates": {"a": 50.0, "b": 60.0, "c": 60.0}, "on_test": True}
    assert kept["notes"] == ["the best of 3 results was kept by its accuracy on this very test split"]
    assert metrics_to_json(keep_best(scored, is_test=False))["notes"] == []
