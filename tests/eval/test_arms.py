import math

from vqa_gs.eval.arms import Spread, group_runs
from vqa_gs.eval.run_files import load_run

from .test_report_fixtures import load_study, write_run


def test_spread():
    spread = Spread((1.0, 2.0, 6.0))
    assert spread.mean == 3.0
    assert math.isclose(spread.std, math.sqrt(7))
    assert (spread.low, spread.high) == (3 - math.sqrt(7), 6.0)
    one = Spread((4.0,))
    assert (one.std, one.low, one.high) == (None, 4.0, 4.0)


def test_group_runs(tmp_path):
    runs = load_study(tmp_path)
    arms = group_runs(reversed(runs))
    assert [arm.name for arm in arms] == ["pairs + GS", "pairs as data", "baseline"]
    assert [run.seed for run in arms[0].runs] == [0, 1]
    values = [run.metrics["ood_test"].overall for run in arms[0].runs]
    spread = arms[0].overall("ood_test")
    assert math.isclose(spread.mean, sum(values) / 2)
    assert math.isclose(spread.std, abs(values[0] - values[1]) / math.sqrt(2))
    assert arms[0].overall("absent") is None
    gap = arms[0].gap("iid_val", "ood_test")
    assert math.isclose(gap.mean, arms[0].overall("iid_val").mean - spread.mean)


def test_runs_of_one_name_with_other_settings_are_other_arms(tmp_path):
    folders = [
        write_run(tmp_path / f"{lr}-seed{seed}", name="gs", seed=seed, config={"training": {"lr": lr}})
        for lr in (0.1, 0.2)
        for seed in (0, 1)
    ]
    arms = group_runs(load_run(folder) for folder in folders)
    assert [arm.name for arm in arms] == ["gs (training.lr=0.1)", "gs (training.lr=0.2)"]
    assert [len(arm.runs) for arm in arms] == [2, 2]


def test_where_a_run_went_does_not_make_an_arm(tmp_path):
    folders = [
        write_run(
            tmp_path / f"gs-seed{seed}",
            name="gs",
            seed=seed,
            config={
                "out": f"here/{seed}",
                "data": {"pairs": [f"pairs-seed{seed}.h5"], "seed": seed},
                "training": {"device": ["cpu", "cuda"][seed]},
            },
        )
        for seed in (0, 1)
    ]
    assert [arm.name for arm in group_runs(load_run(folder) for folder in folders)] == ["gs"]
