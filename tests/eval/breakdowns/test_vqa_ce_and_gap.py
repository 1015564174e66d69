import pytest
from vqa_gs.eval.runs import SplitMetrics

from vqa_gs.common.errors import UsageError

ROWS = [
    (10, "what", "other", "red", "red"),
    (11, "what", "other", "red", "blue"),
    (20, "is it", "yes/no", "no", "no"),
    (21, "is it", "yes/no", "no", "no"),
    (30, "is it", "yes/no", "yes", "no"),
]


def test_counterexamples_hard_and_the_easy_rest(scored, section_of):
    section = section_of("vqa_ce", scored(ROWS, counterexamples=[10, 11, 999], hard=[30]))
    assert section == {
        "counterexamples": {"accuracy": 50.0, "questions": 2},
        "easy": {"accuracy": 100.0, "questions": 2},
        "hard": {"accuracy": 0.0, "questions": 1},
    }
    assert section_of("vqa_ce", scored(ROWS)) is None


def test_lists_that_do_not_fit(scored, section_of):
    with pytest.raises(UsageError, match="question 10 is both a counterexample and hard"):
        section_of("vqa_ce", scored(ROWS, counterexamples=[10], hard=[10]))
    with pytest.raises(UsageError, match="none of the questions is on"):
        section_of("vqa_ce", scored(ROWS, counterexamples=[1], hard=[2]))


def test_the_gap_by_type(scored, section_of):
    inside = SplitMetrics(
        "official", "iid_val", 80.0, per_answer_type={"yes/no": 90.0}, per_question_type={"is it": 90.0}
    )
    section = section_of("gap", scored(ROWS, in_domain=inside))
    assert section["split"] == "iid_val"
    assert section["overall"] == {"in_domain": 80.0, "ood": pytest.approx(60), "gap": pytest.approx(20)}
    assert section["per_answer_type"]["other"] == {"in_domain": None, "ood": 50.0, "gap": None}
    assert section["per_question_type"]["is it"]["gap"] == pytest.approx(90 - 200 / 3)


def test_two_rules_are_never_set_beside_each_other(scored, section_of):
    with pytest.raises(UsageError, match="in-domain metrics are under the rule 'min-n-over-3', these under 'official'"):
        section_of("gap", scored(ROWS, in_domain=SplitMetrics("min-n-over-3", "val", 80.0)))
