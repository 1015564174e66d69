"""Runs that two nodes train together, under torchrun; one process is lost."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.conftest import products, running, wait_until


@pytest.fixture
def two_nodes():
    """A Slurm of two nodes, each a slurmd of its own on this machine."""
    yield from running(2)


def ranks(folder):
    """The processes that train a run of a study in a folder, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if "vqa_gs.study.worker" in " ".join(words[:6]) and words[-3].startswith(str(folder)):
                variables = (entry / "environ").read_bytes().split(b"\0")
                rank = next(one for one in variables if one.startswith(b"RANK="))
                if not any(word == "torch.distributed.run" for word in words):
                    found[int(rank[5:])] = int(entry.name)
    return found


def test_a_lost_rank_is_told_and_the_run_goes_on(two_nodes, slow, make_study, processes):
    slow.touch()
    study = make_study(
        arms={"gs": {}}, seeds=[1], settings={"training": {"epochs": 4, "checkpoint_every": 2, "log_every": 1}}
    )
    assert study.call("--detach", "--slurm.nodes", "2") == 0
    run = study.out / "runs/gs/seed1"
    wait_until(lambda: (run / "checkpoint.pt").exists())
    found = ranks(study.out)
    assert sorted(found) == [0, 1]
    os.kill(found[1], signal.SIGKILL)
    wait_until(lambda: study.task().state == "requeued" or study.task().starts == 2)
    slow.unlink()
    assert study.call("--slurm.nodes", "2") == 0
    said = (study.records.logs / f"{study.records.submissions()[0].job}_0_log.err").read_text()
    assert f"vqa-gs: a process of {run} was lost; it goes on from its last checkpoint" in said
    assert study.task().starts == 2

    # The same run by one agent on one machine.
    words = ["--standalone", "--nproc-per-node=2", "-m", "vqa_gs", "train", "--config", run / "config.yaml", "--out"]
    alone = study.out.with_name("alone") / "runs/gs/seed1"
    launch = "from torch.distributed.run import main; main()"
    assert processes.run(*words, alone, program=launch).returncode == 0
    assert products(study.out) == products(study.out.with_name("alone"))
