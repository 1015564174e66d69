import io
import json

import numpy as np
import pytest
from rich.console import Console
from vqa_gs.eval.compare import System, compare
from vqa_gs.eval.compare_text import comparison_lines, comparison_table

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import Annotation, Answer, Question, QuestionSet

COUNT = 200


@pytest.fixture(scope="module")
def question_set():
    kinds = [("what", "other") if row % 2 else ("is it", "yes/no") for row in range(COUNT)]
    questions = [Question(row, row // 2, f"{kind} <b>{row}</b>?") for row, (kind, _) in enumerate(kinds)]
    answers = tuple(Answer("yes", "yes", number) for number in range(1, 11))
    annotations = [Annotation(row, row // 2, answers, *kind, "yes") for row, kind in enumerate(kinds)]
    return QuestionSet(questions, annotations, {})


def system(name, right):
    return System(name, [{row: "yes" if row in right else "no" for row in range(COUNT)}])


def row_of(comparison, name):
    return next(row for row in comparison["rows"] if row["name"] == name)


def test_a_clear_difference_is_a_win_and_only_where_it_is(question_set):
    # Alike on "is it" (even), 80 of 100 against 20 of 100 on "what" (odd).
    even = set(range(0, COUNT, 4))
    a = system("new", even | set(range(1, 161, 2)))
    b = system("old", even | set(range(1, 41, 2)))
    comparison = compare(question_set, a, b, permutations=2000)
    whole, what, is_it = (row_of(comparison, name) for name in ("", "what", "is it"))
    assert (whole["a"], whole["b"], whole["difference"]) == (65.0, 35.0, 30.0)
    assert (what["difference"], what["verdict"], what["questions"]) == (60.0, "a", 100)
    assert what["interval"][0] > 45
    assert what["p_corrected"] == pytest.approx(2 * what["p"])
    assert (is_it["difference"], is_it["verdict"], is_it["p"]) == (0.0, None, 1.0)
    assert comparison["mcnemar"] == {"only_a": 60, "only_b": 0, "p": pytest.approx(2 * 0.5**60)}
    json.dumps(comparison, allow_nan=False)


def test_chance_is_never_a_win(question_set):
    wins = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sides = [system(name, set(np.flatnonzero(rng.random(COUNT) < 0.5).tolist())) for name in "ab"]
        comparison = compare(question_set, *sides, permutations=500, replicates=200, seed=seed)
        for row in comparison["rows"]:
            inside = row["interval"][0] <= 0 <= row["interval"][1]
            assert not (inside and row["verdict"])
            wins += row["verdict"] is not None
    assert wins <= 8  # of 100 rows, at 5 % before correction


def test_what_changed_most(question_set):
    comparison = compare(question_set, system("a", {3, 4, 5}), system("b", {4}), permutations=100)
    assert [entry["question_id"] for entry in comparison["changed"]] == [3, 5]
    assert comparison["changed"][0]["answers_a"] == ["yes"]
    assert comparison["changed"][0]["answers_b"] == ["no"]
    many = compare(question_set, system("a", set(range(COUNT))), system("b", set()), permutations=100)
    assert len(many["changed"]) == 20


def test_seeds(question_set):
    runs = [{row: "yes" if row < limit else "no" for row in range(COUNT)} for limit in (100, 110, 120)]
    none = [{row: "yes" if row < limit else "no" for row in range(COUNT)} for limit in (80, 85, 90)]
    comparison = compare(question_set, System("a", runs), System("b", none), permutations=500)
    assert comparison["seeds"]["a"] == {"overall": [50.0, 55.0, 60.0], "mean": 55.0, "std": 5.0}
    assert comparison["seeds"]["wilcoxon_p"] == 0.25
    assert comparison["mcnemar"] is None
    with pytest.raises(UsageError, match="without runs"):
        compare(question_set, System("a", []), System("b", none))


def test_the_text_names_the_rule_and_escapes_nothing_away(question_set):
    comparison = compare(question_set, system("a[bold]", set(range(100))), system("b", {4}), permutations=100)
    out = io.StringIO()
    Console(file=out, width=200).print(comparison_table(comparison))
    text = out.getvalue()
    assert "a[bold]" in text
    assert "% under official" in text
    assert "undecided" in text or "ahead" in text
    lines = comparison_lines(comparison)
    assert any("<b>0</b>" in line for line in lines)
    assert sum(line.startswith("  ") for line in lines) == 20
