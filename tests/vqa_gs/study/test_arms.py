import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_gs.common.errors import UsageError
from vqa_gs.study.arms import expand_arms
from vqa_gs.study.plan import make_plan
from vqa_gs.study.spec import read_study


def expand(file):
    return {arm.name: arm for arm in expand_arms(read_study(file, "out"))}


def test_arms_extend_each_other_and_sweep(write_study):
    arms = expand(
        write_study(
            arms={
                "baseline": {"data.pairs": []},
                "pairs": {"training.lr": 0.1, "sweep": {"data.max_pairs": [25, 50]}},
                "gs": {
                    "extends": "pairs",
                    "objectives": {"gradient_supervision": {"weight": 2}},
                    "sweep": {"data.max_pairs": [25, 100]},
                    "against": "baseline",
                },
                "contrast": {"extends": "gs", "objectives.gradient_supervision.variant": "contrast"},
            },
            control="baseline",
        )
    )
    assert list(arms) == ["baseline", "pairs @ 25", "pairs @ 50", "gs @ 25", "gs @ 100", "contrast"]
    assert arms["pairs @ 50"].settings == {"training": {"lr": 0.1}, "data": {"max_pairs": 50}}
    assert arms["gs @ 100"].settings == {
        "training": {"lr": 0.1},
        "objectives": {"gradient_supervision": {"weight": 2}},
        "data": {"max_pairs": 100},
    }
    # A sweep is not inherited, settings are.
    assert arms["contrast"].settings == {
        "training": {"lr": 0.1},
        "objectives": {"gradient_supervision": {"weight": 2, "variant": "contrast"}},
    }
    assert [arms[name].field for name in arms] == [None, *["data.max_pairs"] * 4, None]
    assert arms["gs @ 100"].value == 100
    assert {arm.against for name, arm in arms.items() if name != "baseline"} == {("baseline",)}
    assert arms["baseline"].against == ()


def test_a_swept_arm_is_tested_against_that_of_its_value(write_study):
    sweep = {"sweep": {"data.max_pairs": [5, 20]}}
    arms = expand(write_study(arms={"a": {**sweep}, "b": {**sweep}}, control="a"))
    assert {name: arm.against for name, arm in arms.items()} == {
        "a @ 5": (),
        "a @ 20": (),
        "b @ 5": ("a @ 5",),
        "b @ 20": ("a @ 20",),
    }
    arms = expand(write_study(arms={"a": {**sweep}, "b": {**sweep, "against": ["a", "c", "b @ 5"]}, "c": {}}))
    assert {name: arm.against for name, arm in arms.items()} == {
        "a @ 5": (),
        "a @ 20": (),
        "b @ 5": ("a @ 5", "c"),
        "b @ 20": ("a @ 20", "c", "b @ 5"),
        "c": (),
    }
    with pytest.raises(UsageError, match="'a' is swept and has no value of 'c'"):
        expand(write_study(arms={"a": {**sweep}, "c": {}}, control="a"))


def test_settings_are_layers(write_study):
    plan = make_plan(
        write_study(
            settings={"training": {"epochs": 7, "lr": 0.5, "clip": 3}},
            datasets={"one": {"training.lr": 0.25}, "two": None},
            arms={"a": {"training.clip": 2}},
            seeds=[4, 5],
        ),
        "out",
        {"training": {"batch_size": 9}},
    )
    assert [(run.dataset, run.seed) for run in plan.runs] == [("one", 4), ("two", 4), ("one", 5), ("two", 5)]
    first, second = plan.runs[:2]
    assert (first.config.training.epochs, first.config.training.lr, first.config.training.clip) == (7, 0.25, 2)
    assert second.config.training.lr == 0.5
    assert first.config.training.batch_size == 9
    assert first.config.model.hidden == 32  # of the base
    assert (first.config.name, first.config.seed) == ("a", 4)
    assert str(plan.runs[3].folder) == "out/runs/two/a/seed5"


def test_null_takes_an_entry_of_a_lower_layer_away(write_study):
    arms = {
        "cut": {"data.iid_val": None},
        "child": {"extends": "cut", "data": {"tests": {"ood_test": None}}},
        "plain": {},
    }
    plan = make_plan(write_study(arms=arms), "out")
    cut, child, plain = (run.config.data for run in plan.runs)
    assert (cut.iid_val, child.iid_val, child.tests) == (None, None, {})
    assert plain.iid_val is not None
    assert list(cut.tests) == ["ood_test"]


@pytest.fixture(scope="module")
def plan(tiny, tmp_path_factory):
    file = tmp_path_factory.mktemp("plan") / "study.yaml"
    file.write_text(
        f"base: {tiny['file']}\nseeds: [1, 2, 3]\ndatasets: {{x: {{}}, y: {{}}}}\n"
        "arms: {a: {}, b: {}, c: {sweep: {data.max_pairs: [1, 2, 3]}}}\n"
    )
    return make_plan(file, "out")


@settings(deadline=None)
@given(
    of=st.integers(1, 40),
    arms=st.lists(st.sampled_from(["a", "b", "c", "c @ 2"])),
    seeds=st.lists(st.sampled_from([1, 2, 3])),
    datasets=st.lists(st.sampled_from("xy")),
)
def test_shards_cover_every_run_once(plan, of, arms, seeds, datasets):
    runs = plan.chosen(arms, seeds, datasets)
    sharded = [run.folder for number in range(of) for run in runs[number::of]]
    assert sorted(sharded) == sorted(run.folder for run in runs)
    assert len(set(sharded)) == len(sharded)
    chosen_arms = sum({"a": 1, "b": 1, "c": 3, "c @ 2": 1}[name] for name in set(arms)) if arms else 5
    if {"c", "c @ 2"} <= set(arms):
        chosen_arms -= 1
    assert len(runs) == chosen_arms * (len(set(seeds)) or 3) * (len(set(datasets)) or 2)
