"""A study's suite: every run is tested on it, its tests are splits of the study, what it refuses is refused first."""

import json
from pathlib import Path

import pytest
import yaml
from vqa_gs.eval.metrics_file import read_metrics

from vqa_gs.cli import main
from vqa_gs.study.listing import run_states

ARMS = {"baseline": {"data.pairs": [], "objectives.gradient_supervision.weight": 0}, "gs": {"against": "baseline"}}


def files(name):
    return {"questions": f"{name}_questions.json", "annotations": f"{name}_annotations.json"}


@pytest.fixture
def suite(tiny, tmp_path, monkeypatch):
    """Returns a function that writes a suite of the tiny world, whose folder is VQA_DATA."""
    folder = Path(tiny["data"]["features"]).parent
    monkeypatch.setenv("VQA_DATA", str(folder))
    (tmp_path / "some.json").write_text(json.dumps([2000, 2001, 2002, 2003, 2004, 2005]))

    def write(**more):
        tests = {
            "iid_val": {**files("iid_val"), "side": "in"},
            "elsewhere": {
                **files("ood_test"),
                "side": "ood",
                "rules": ["official", "exact-normalized"],
                "subsets": {"some": str(tmp_path / "some.json")},
            },
            "gone": {**files("gone"), "side": "ood"},
        }
        content = {"title": "small", "tests": {**tests, **more.pop("tests", {})}, **more}
        (tmp_path / "suite.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return str(tmp_path / "suite.yaml")

    return write


def study(file, out, *more):
    return main(["study", "--config", str(file), "--out", str(out), *map(str, more)])


def test_tests_of_the_suite_are_splits_of_the_study(suite, write_study, tiny, tmp_path, capsys):
    out = tmp_path / "out"
    config = write_study(suite=suite(), arms=ARMS, seeds=[1, 2, 3])
    assert study(config, out, "--dry-run", "--trial-steps", 0) == 0
    page = capsys.readouterr().out
    assert f"suite small in {Path(tiny['data']['features']).parent}: every run is tested on iid_val, elsewhere" in page
    assert "absent: gone" in page
    assert not (out / "runs").exists()

    assert study(config, out) == 0
    found = json.loads((out / "study.json").read_text())
    measures = {
        (one["split"], one["scoring"], one["kind"], one["name"]): one for one in found["datasets"][0]["measures"]
    }
    for split, rule in (("elsewhere", "official"), ("elsewhere_exact-normalized", "exact-normalized")):
        scores = measures[split, rule, "overall", ""]["arms"]["gs"]
        runs = [read_metrics(out / f"runs/gs/seed{seed}/metrics/{split}.json") for seed in (1, 2, 3)]
        assert scores["over_seeds"]["values"] == {str(at): one.overall for at, one in enumerate(runs, 1)}
        assert scores["over_seeds"]["over"] == ["image", "seed"]
        (difference,) = scores["differences"]
        assert difference["against"] == "baseline"
        assert difference["p_holm"] is not None
    assert ("elsewhere", "official", "subset", "some") in measures
    # The run's own test has the same questions, and the same answers.
    own = measures["ood_test", "official", "overall", ""]["arms"]
    assert own == measures["elsewhere", "official", "overall", ""]["arms"]
    (left,) = found["suites"]
    assert (left["title"], len(left["left_out"])) == ("small", 1)
    text = (out / "study.md").read_text()
    assert "elsewhere, some" in text
    assert "Left out of small: gone:" in text

    # Called again nothing is done; a suite that changed is put to the runs, none of which is trained again.
    before = {file: file.stat().st_mtime_ns for file in (out / "runs").rglob("model.safetensors")}
    written = (out / "runs/gs/seed1/suites/small.json", out / "runs/gs/seed1/suites/suite.json")
    assert not written[0].exists()
    first = written[1].stat().st_mtime_ns
    assert study(config, out) == 0
    assert written[1].stat().st_mtime_ns == first
    suite(tests={"once more": {**files("ood_test"), "side": "ood"}})
    capsys.readouterr()
    assert study(config, out, "--dry-run", "--trial-steps", 0) == 0
    assert "6 runs, 0 done, 6 left" in capsys.readouterr().out
    assert study(config, out) == 0
    assert {file: file.stat().st_mtime_ns for file in (out / "runs").rglob("model.safetensors")} == before
    assert read_metrics(out / "runs/baseline/seed3/metrics/once more.json").domain == "ood"
    assert {state.state for state in run_states(out)} == {"done"}


def test_what_the_suite_refuses_is_refused_before_training(suite, write_study, refused, tiny, tmp_path):
    out, folder = tmp_path / "out", Path(tiny["data"]["features"]).parent
    for part in ("questions", "annotations"):
        rows = json.loads((folder / f"ood_test_{part}.json").read_text())
        (tmp_path / f"strange_{part}.json").write_text(json.dumps([{**row, "image_id": 77_777} for row in rows]))
    there = files(str(tmp_path / "strange"))
    gone = {**files("gone"), "side": "ood"}
    for parts, message in (
        ({"tests": {"strange": {**there, "side": "ood"}}}, "77777"),
        ({"tests": {"ood_test": {**files("iid_val"), "side": "ood"}}}, "the test ood_test is of other questions than"),
        ({"tests": {"iid_val": gone, "elsewhere": gone}}, "none of its tests is there"),
        ({"colour": 1}, "unknown field `colour`"),
    ):
        assert message in refused(write_study(suite=suite(**parts)), out)
        assert not list(out.glob("runs/**/config.yaml"))
    assert "no.yaml" in refused(write_study(suite=str(tmp_path / "no.yaml")), out)


def test_epochs_are_chosen_on_the_suites_own_questions(suite, write_study, refused, tiny, tmp_path):
    out = tmp_path / "out"
    without = {"training": {"epochs": 2, "checkpoint_every": 0}, "data.iid_val": None}
    made = suite(selection=files("iid_val"))
    assert study(write_study(suite=made, settings=without), out) == 0
    chosen = yaml.safe_load((out / "runs/baseline/seed0/config.yaml").read_text())["data"]["iid_val"]
    assert chosen["questions"] == str(Path(tiny["data"]["features"]).parent / "iid_val_questions.json")
    made = suite(selection=files("gone"))
    assert "gone_questions.json" in refused(write_study(suite=made, settings=without), tmp_path / "other")


def test_a_suite_that_fails_is_a_run_that_failed_and_goes_on(suite, write_study, tmp_path, monkeypatch, capfd):
    from vqa_gs.common.errors import DataError
    from vqa_gs.study import worker

    out, config = tmp_path / "out", write_study(suite=suite())

    def refuses(*given):
        raise DataError("cannot be read", file=tmp_path / "x")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "put_to", refuses)
        assert study(config, out) == 2
    assert "1 of 1 runs failed; the first: baseline, seed 0" in capfd.readouterr().err
    assert (out / "runs/baseline/seed0/done").exists()
    (state,) = run_states(out)
    assert (state.state, "cannot be read" in state.note) == ("failed", True)
    assert study(config, out) == 0
    (state,) = run_states(out)
    assert state.state == "done"


def test_changed_files_of_the_suite_are_told(suite, write_study, refused, tiny, tmp_path):
    out, config = tmp_path / "out", write_study(suite=suite())
    assert study(config, out) == 0
    some = tmp_path / "some.json"
    some.write_text(json.dumps([2000, 2001]))
    assert f"{some} changed since {out / 'runs/baseline/seed0'} was trained" in refused(config, out)
