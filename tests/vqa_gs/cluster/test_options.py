"""What commands take for a cluster, and what they refuse before one is asked."""

import sys

import pytest

from vqa_gs.cli import main
from vqa_gs.cluster.settings import SlurmSettings, minutes
from vqa_gs.common.errors import UsageError


def test_what_does_not_go_together(tmp_path, capfd):
    for words, problem in (
        (["--on", "slurm"], "--on slurm and --shards go together"),
        (["--shards", "2"], "--on slurm and --shards go together"),
        (["--detach"], "--detach is for jobs of a cluster"),
        (["--on", "slurm", "--shards", "2", "--slurm.time", "long"], "'long' is no time"),
    ):
        assert main(["features", "extract", "--images", str(tmp_path), "--out", str(tmp_path / "a.h5"), *words]) == 2
        assert problem in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90m", 90), ("8h", 480), ("2d", 2880), ("1:30", 2), ("8:00:00", 480), ("1-12:00:00", 2160)]
    + [("1-12", 2160), ("0:01", 1), ("1-0:30", 1470)],
)
def test_times(text, expected):
    """`sbatch` knows minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes(:seconds)."""
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-5", "8 hours", "1:2:3:4", "h", "1.5h", "0:00"])
def test_no_times(text):
    with pytest.raises(UsageError, match="is no time"):
        minutes(text)


@pytest.mark.parametrize(
    "bad", [{"nodes": 0}, {"gpus": -1}, {"cpus": 0}, {"memory": "lots"}, {"more": ("--gres=gpu",)}, {"requeues": -1}]
)
def test_no_settings(bad):
    with pytest.raises(UsageError):
        SlurmSettings(**bad)


def test_what_sbatch_is_told():
    settings = SlurmSettings(time="8h", gpus=2, cpus=4, memory="16G", nodes=2, more=("gres=tmp:1", "exclusive"))
    found = settings.parameters("name", ["afterok:1", "afterany:2"])
    assert (found["time"], found["gpus_per_node"], found["mem"], found["nodes"]) == (480, 2, "16G", 2)
    assert found["dependency"] == "afterok:1,afterany:2"
    assert found["additional_parameters"] == {
        "requeue": True,
        "kill-on-invalid-dep": "yes",
        "gres": "tmp:1",
        "exclusive": True,
    }
    alone = settings.parameters("name", [], one_node=True)
    assert alone["nodes"] == 1
    assert "gpus_per_node" not in alone
    assert "dependency" not in alone
    assert settings.per_node == 2


def test_without_slurm_or_submitit_one_line_tells(tmp_path, monkeypatch, noise_pictures, capfd):
    words = ["features", "extract", "--images", str(noise_pictures(["1.png"], 8, 9)), "--out", str(tmp_path / "a.h5")]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*words, "--on", "slurm", "--shards", "1"]) == 2
    assert "there is no Slurm here" in capfd.readouterr().err
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main([*words, "--on", "slurm", "--shards", "1"]) == 2
    assert "jobs are submitted by the package submitit (pip install submitit)" in capfd.readouterr().err
