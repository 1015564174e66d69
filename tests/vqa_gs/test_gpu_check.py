"""The check of a GPU, without one: parts that fail or come too late are told, and all others are run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


def run(folder, *words, seconds=600):
    command = [sys.executable, str(SCRIPT), "--out", str(folder), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    return ended, json.loads((folder / "gpu-check.json").read_text()), (folder / "gpu-check.md").read_text()


def test_a_part_without_time_is_told(tmp_path):
    ended, found, table = run(tmp_path, "--device", "cpu", "--scale", "0.02", "--minutes", "0", "--parts", "demo")
    assert ended.returncode == 1
    assert found["problems"] == {"demo": "no time was left"}
    assert "| demo | no time was left, 0 s |" in table


@pytest.mark.slow
def test_all_of_it_at_a_fiftieth(tmp_path):
    ended, found, table = run(tmp_path, "--device", "cpu", "--scale", "0.02")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert not found["problems"]
    assert {row["case"] for row in found["parts"]["steps"]["steps"]} >= {"baseline", "shared-gs", "mcan-gs"}
    assert found["parts"]["training"]["shared"]["questions_per_second"] > 0
    assert found["parts"]["training"]["shared"]["features"].startswith("on cpu")
    for part in found["parts"]:
        assert f"| {part} | done, " in table
