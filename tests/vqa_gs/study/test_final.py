"""Nested selection: what is chosen without the final dataset's tests, and how openings of them are counted."""

import json

import pytest

from tests.vqa_gs.study.test_report import write_run
from vqa_gs.cli import main
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.study.final import LEDGER, open_final
from vqa_gs.study.plan import make_plan

ARMS = {"plain": {}, "slow": {"training.lr": 0.01}, "fast": {"training.lr": 0.1}}
# OOD accuracy of two seeds on the inner datasets; in-domain all the same.
INNER = {"plain": (30.0, 31.0), "slow": (40.0, 42.0), "fast": (41.0, 40.0)}
FINAL = {"dataset": "test", "arms": ["plain"], "choose": {"best": {"among": ["slow", "fast"]}}}


@pytest.fixture
def planned(write_study, tmp_path):
    """Returns a function that writes a study with a final dataset and its inner runs, and plans it."""

    def plan(inner=INNER, **parts):
        parts = {"arms": ARMS, "seeds": [1, 2], "datasets": {"inner": {}, "test": {}}, "final": FINAL} | parts
        found = make_plan(write_study(**parts), tmp_path / "out")
        for run in found.chosen():
            if run.arm.name in inner and run.status != "done":
                write_run(run, 70.0, inner[run.arm.name][run.seed - 1], lambda overall: {})
        return found

    return plan


def ledger(tmp_path):
    return [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]


def test_the_best_arm_of_the_other_datasets_is_opened_and_put_on_record(planned, tmp_path):
    plan = planned()
    assert {run.dataset for run in plan.runs} == {"inner"}
    opening = open_final(plan)
    assert opening.arms == ["plain", "slow"]
    assert opening.chosen == {"best": {"slow": 41.0, "fast": 40.5}}
    assert opening.before == {"ood_test": 0}
    (line,) = ledger(tmp_path)
    assert line["splits"].keys() == {"ood_test"}
    again = planned()
    assert {(run.dataset, run.arm.name) for run in again.runs if run.dataset == "test"} == {
        ("test", "plain"),
        ("test", "slow"),
    }
    assert {run.dataset for run in again.chosen(final=True)} == {"test"}
    # The same once more is no further look.
    assert open_final(again).id == opening.id
    assert len(ledger(tmp_path)) == 1


def test_other_choices_are_another_opening_and_earlier_arms_stay(planned, tmp_path):
    open_final(planned())
    opening = open_final(planned(final={**FINAL, "choose": {}, "arms": ["fast"]}))
    assert opening.before == {"ood_test": 1}
    assert opening.arms == ["plain", "slow", "fast"]
    assert [line["before"] for line in ledger(tmp_path)] == [{"ood_test": 0}, {"ood_test": 1}]


def test_the_final_dataset_may_have_seeds_of_its_own(planned, tmp_path):
    plan = planned(final={**FINAL, "seeds": [2, 3, 4]})
    assert {run.seed for run in plan.chosen()} == {1, 2}
    opening = open_final(plan)
    assert opening.chosen == {"best": {"slow": 41.0, "fast": 40.5}}
    assert opening.seeds == [2, 3, 4]
    again = planned(final={**FINAL, "seeds": [2, 3, 4]})
    assert sorted({run.seed for run in again.chosen(final=True)}) == [2, 3, 4]
    with pytest.raises(UsageError, match=r"seeds: a seed stands twice"):
        planned(final={**FINAL, "seeds": [2, 2]})


def test_command_trains_the_chosen_arms_alone_and_the_report_counts(planned, tmp_path):
    plan = planned()
    assert main(["study", "--config", str(plan.spec.file), "--out", str(plan.out), "--final", "--seeds", "1"]) == 0
    done = {str(file.parent.relative_to(plan.out / "runs" / "test")) for file in plan.out.glob("runs/test/*/*/done")}
    assert done == {"plain/seed1", "slow/seed1"}
    text = (plan.out / "study.md").read_text()
    assert "for 2 arms; openings before that by openings.jsonl: ood" in text
    assert "Chosen as “best” without those tests: “slow” (of “slow” 41.0, “fast” 40.5)." in text
    assert json.loads((plan.out / "study.json").read_text())["opening"]["arms"] == ["plain", "slow"]


def test_a_study_without_its_choice_made_is_not_opened(planned, tmp_path):
    plan = planned(inner={"plain": INNER["plain"], "slow": INNER["slow"]})
    with pytest.raises(UsageError, match=r"inner, fast, seed 1 is not done, and arms are chosen by it"):
        open_final(plan)
    assert not (tmp_path / LEDGER).exists()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"final": {**FINAL, "dataset": "tset"}}, "final: there is no dataset 'tset'"),
        ({"final": {"dataset": "test"}}, "final: names no arm"),
        ({"final": {**FINAL, "arms": ["plian"]}}, "final: there is no arm 'plian'"),
        ({"datasets": {"test": {}}}, "final: needs another dataset to choose on"),
    ],
)
def test_what_cannot_be_opened_is_refused_when_read(planned, parts, problem):
    with pytest.raises((UsageError, DataError)) as caught:
        planned(**parts)
    assert problem in str(caught.value)


def test_a_measure_that_runs_lack_is_named(planned):
    choose = {"best": {"among": ["slow", "fast"], "kind": "subset", "name": "answerable"}}
    with pytest.raises(UsageError, match=r"inner, slow, seed 1 has no measure subset 'answerable' on ood_test"):
        open_final(planned(final={**FINAL, "choose": choose}))


def test_the_final_dataset_is_closed_without_its_flag(planned, refused):
    plan = planned()
    assert "the dataset 'test' is opened by --final alone" in refused(plan.spec.file, plan.out, "--datasets", "test")


@pytest.mark.parametrize("line", [b"{}", b'{"id": "\xff"}', b"[" * 100_000, b"\0"])
def test_a_damaged_ledger_is_named_by_line(planned, tmp_path, line):
    plan = planned()
    (tmp_path / LEDGER).write_bytes(line + b"\n")
    with pytest.raises(DataError, match=r"openings.jsonl: line 1: is no record of an opening"):
        open_final(plan)


def test_a_ledger_that_is_a_link_is_not_followed(planned, tmp_path):
    plan = planned()
    (tmp_path / "other.txt").touch()
    (tmp_path / LEDGER).symlink_to("other.txt")
    with pytest.raises(DataError, match=r"openings.jsonl: is a link or no file"):
        open_final(plan)
    assert not (tmp_path / "other.txt").read_bytes()


def test_pair_tables_go_by_the_dataset(planned):
    plan = planned(arms={**ARMS, "plain": {"data.pairs": ["pairs-{dataset}.json"]}})
    files = {run.dataset: run.config.data.pairs for run in plan.every_run if run.arm.name == "plain"}
    assert files == {"inner": ["pairs-inner.json"], "test": ["pairs-test.json"]}
