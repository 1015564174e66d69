"""The commands of the README one after the other on a small world, and the demonstration."""

import os
import random
import signal
import subprocess
import sys
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


SMALL = ["--epochs", "2", "--world.train_images", "70", "--world.iid_val_images", "25"]
SMALL += ["--world.ood_test_images", "25", "--world.edits", "15"]
ARMS = ("baseline", "pairs-as-data", "pairs-gs")


def demo_command(out):
    return [sys.executable, "-m", "vqa_gs", "demo", "--out", str(out), *SMALL]


def made(folder):
    """Returns what the demonstration made, by name: everything that does not tell the time."""
    wanted = [folder / "regions.h5", folder / "pairs.h5"]
    for arm in ARMS:
        run = folder / "runs" / f"{arm}-seed0"
        wanted += [run / "model.safetensors", run / "predictions" / "ood_test.json"]
    return {path.relative_to(folder): path.read_bytes() for path in wanted}


def test_demo_killed_in_the_middle_goes_on_and_goes_over_finished_work(tmp_path, capsys):
    out = tmp_path / "demo"
    words = ["demo", "--out", str(out), *SMALL]
    process = subprocess.Popen(demo_command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (out / "runs" / "pairs-as-data-seed0").exists() and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
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
def test_demo_killed_at_any_moment_equals_undisturbed(tmp_path):
    begin = time.monotonic()
    subprocess.run(demo_command(tmp_path / "whole"), check=True, capture_output=True)
    duration, rng = time.monotonic() - begin, random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(demo_command(tmp_path / "cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 0.9) * duration)
        process.kill()
        process.wait()
    subprocess.run(demo_command(tmp_path / "cut"), check=True, capture_output=True)
    whole, cut = made(tmp_path / "whole"), made(tmp_path / "cut")
    # The pair table names the files it was made from, which lie in another folder here.
    assert [str(name) for name in whole if whole[name] != cut[name]] == ["pairs.h5"]
    assert list((tmp_path / "cut").rglob("*.tmp")) == []
