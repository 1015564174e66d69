"""The commands of the README one after the other on a small world, and the demonstration."""

import random
import signal
import time

import pytest
import yaml

from tests.vqa_gs.cli.conftest import read, write_fixed36
from vqa_gs.cli import main


def test_commands_in_sequence(tiny, tmp_path, capsys):
    source = write_fixed36(tmp_path, range(120), regions=5)
    train, ood = tiny["data"]["train"], tiny["data"]["tests"]["ood_test"]
    store, pairs, run, other = (str(tmp_path / name) for name in ("mini.h5", "pairs.h5", "gs", "baseline"))

    assert main(["features", "convert", str(source), "--out", store]) == 0
    assert main(["features", "info", store]) == 0
    assert "120" in capsys.readouterr().out

    asked = ["--questions", train["questions"], "--annotations", train["annotations"]]
    assert main(["pairs", "build", "--kind", "same-question", *asked, "--features", store, "--out", pairs]) == 0
    assert main(["pairs", "info", pairs]) == 0
    capsys.readouterr()

    values = {key: value for key, value in tiny.items() if key != "file"}
    values["data"] = {**values["data"], "features": store, "pairs": [pairs]}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    words = ["train", "--config", str(config), "--seed", "1", "--max-steps", "6"]
    assert main([*words, "--out", run]) == 0
    assert capsys.readouterr().out == f"{run}\n"
    assert main([*words, "--out", other, "--name", "baseline", "--objectives.gradient_supervision.weight", "0"]) == 0
    saved = yaml.safe_load((tmp_path / "gs" / "config.yaml").read_text())
    assert saved["seed"] == 1
    assert saved["training"]["max_steps"] == 6
    assert len((tmp_path / "gs" / "log.csv").read_text().splitlines()) == 1 + 3  # a row every second step

    results, metrics = tmp_path / "ood.json", tmp_path / "metrics.json"
    words = ["predict", "--run", run, "--questions", ood["questions"], "--features", store, "--out", str(results)]
    assert main(words) == 0
    asked = ["--questions", ood["questions"], "--annotations", ood["annotations"]]
    assert main(["evaluate", *asked, "--results", str(results), "--out", str(metrics)]) == 0
    found = read(metrics)
    assert found["scoring"] == "official"
    assert found["questions"] == 20
    expected = read(tmp_path / "gs" / "metrics" / "ood_test.json")
    assert found["overall"] == expected["overall"]
    assert found["per_question_type"] == expected["per_question_type"]

    report = tmp_path / "report.html"
    assert main(["report", run, other, "--out", str(report)]) == 0
    page = report.read_text()
    for text in ("what color is the", "baseline", f"{found['overall']:.2f}", "vqa-gs train --config"):
        assert text in page


SMALL = ["--seeds", "1", "--epochs", "2", "--world.train_images", "70", "--world.iid_val_images", "25"]
SMALL += ["--world.ood_test_images", "25", "--world.edits", "15"]
ARMS = ("baseline", "pairs-as-data", "pairs-gs")


def made(folder):
    """Returns what the demonstration made, by name: everything that does not tell the time."""
    wanted = [folder / "regions.h5", folder / "pairs.h5"]
    for arm in ARMS:
        run = folder / "runs" / f"{arm}-seed0"
        wanted += [run / "model.safetensors", run / "predictions" / "ood_test.json"]
    return {path.relative_to(folder): path.read_bytes() for path in wanted}


def test_demo_killed_in_the_middle_goes_on_and_goes_over_finished_work(processes, tmp_path, capsys):
    out = tmp_path / "demo"
    words = ["demo", "--out", str(out), *SMALL]
    process = processes.start(*words)
    process.wait_until((out / "runs" / "pairs-as-data-seed0").exists, 600)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (out / "report.html").exists()

    assert main(words) == 0
    said = capsys.readouterr()
    assert f"report: {out / 'report.html'}" in said.out
    for text in ("baseline", "pairs as data", "pairs + GS", "all questions", "is there a"):
        assert text in said.out
    report = (out / "report.html").read_text()
    for section in ("Accuracy by question type", "Where it looks", "Training", "Examples", "How each run was made"):
        assert f">{section}</h2>" in report
    first = made(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix in (".safetensors", ".jpg")}

    assert main(words) == 0
    assert made(out) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "epoch" not in capsys.readouterr().err

    # Another world in the same folder is refused, and nothing of the finished one is touched.
    assert main([*words, "--world.seed", "5"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert made(out) == first


@pytest.mark.slow
def test_demo_killed_at_any_moment_equals_undisturbed(processes, tmp_path):
    begin = time.monotonic()
    assert processes.run("demo", "--out", tmp_path / "whole", *SMALL).returncode == 0
    duration, rng = time.monotonic() - begin, random.Random(0)
    for _ in range(6):
        process = processes.start("demo", "--out", tmp_path / "cut", *SMALL)
        time.sleep(rng.uniform(0.3, 0.9) * duration)
        process.kill()
        process.wait()
    assert processes.run("demo", "--out", tmp_path / "cut", *SMALL).returncode == 0
    whole, cut = made(tmp_path / "whole"), made(tmp_path / "cut")
    # The pair table names the files it was made from, which lie in another folder here.
    assert [str(name) for name in whole if whole[name] != cut[name]] == ["pairs.h5"]
    assert list((tmp_path / "cut").rglob("*.tmp")) == []
