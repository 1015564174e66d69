"""Studies on a real Slurm: to completion, disturbed in every way that Slurm has, submitted twice."""

import json
import os
import signal
import threading
import time

from tests.cluster.conftest import products, wait_until
from vqa_gs.cli import main

LONG = {"training": {"epochs": 40, "checkpoint_every": 0, "log_every": 7}}


def status(study, capfd):
    """What `vqa-gs study status` prints: the state of each run by its title."""
    capfd.readouterr()
    assert main(["study", "status", str(study.out)]) == 0
    lines = capfd.readouterr().out.splitlines()
    return {line[: lines[0].index("state")].strip(): line[lines[0].index("state") :].split()[0] for line in lines[1:-1]}


def trains(study, seed):
    """Whether a run of the arm `gs` has made its first steps."""
    log = study.out / f"runs/gs/seed{seed}/log.csv"
    return log.exists() and log.read_text().count("\n") > 1


def test_to_completion_and_again(slurm, make_study, tiny, capfd):
    step = ["features", "merge", tiny["data"]["features"], "--out", "{out}/store.h5"]
    study = make_study(
        prepare=[{"makes": "{out}/store.h5", "run": step}],
        settings={"training": {"epochs": 2, "checkpoint_every": 0}, "data": {"features": "{out}/store.h5"}},
    )
    assert study.call() == 0
    said = capfd.readouterr()
    assert str(study.out / "study.html") in said.out
    assert "4 runs submitted, 0 were waiting or running" in said.err
    assert products(study.out) == study.undisturbed()
    assert "4 of 4 runs" in (study.out / "study.md").read_text()
    submissions = study.records.submissions()
    assert [(one.kind, len(one.tasks)) for one in submissions] == [("prepare", 1), ("runs", 4), ("report", 1)]
    assert set(status(study, capfd).values()) == {"done"}

    done = {file: file.stat().st_mtime_ns for file in study.out.glob("runs/*/*/done")}
    assert study.call() == 0
    assert study.records.submissions() == submissions
    assert {file: file.stat().st_mtime_ns for file in done} == done


def test_requeued_and_out_of_time(slurm, slow, make_study, capfd):
    slow.touch()
    study = make_study(arms={"gs": {}}, settings=LONG)
    assert study.call("--detach") == 0
    array = study.records.submissions()[0]
    wait_until(lambda: all(trains(study, seed) for seed in (1, 2)))
    assert set(status(study, capfd).values()) == {"running"}
    assert study.call("--detach") == 0
    assert "0 runs submitted, 2 were waiting or running" in capfd.readouterr().err
    assert len(study.records.submissions()) == 2

    limit = ["scontrol", "update", f"jobid={array.job}_1"]
    assert slurm.ask(*limit, "timelimit=1").returncode == 0
    assert slurm.ask("scontrol", "requeue", f"{array.job}_0").returncode == 0
    for number in (0, 1):
        wait_until(lambda: study.task(number).starts > 1 or study.task(number).state in ("stopped", "requeued"))  # noqa: B023
        assert (study.out / f"runs/gs/seed{number + 1}/checkpoint.pt").exists()
    assert slurm.ask(*limit, "timelimit=60").returncode == 0
    slow.unlink()
    assert study.call() == 0
    assert "0 runs submitted, 2 were waiting or running" in capfd.readouterr().err
    said = [next(study.records.logs.glob(f"{array.job}_{task}_0_log.err")).read_text() for task in (0, 1)]
    for seed, name, text in ((1, "SIGTERM", said[0]), (2, "SIGUSR2", said[1])):
        assert f"stopped by {name}: {study.out / 'runs/gs'}/seed{seed} goes on after step" in text
    assert min(study.task(number).starts for number in (0, 1)) >= 2
    assert len(study.records.submissions()) == 2
    assert products(study.out) == study.undisturbed()


def interrupt(study):
    """Sends Ctrl-C to this process once it follows its jobs, and has asked Slurm for them."""
    wait_until(lambda: [one.job for one in study.records.submissions() if one.kind == "report" and one.job])
    time.sleep(5)
    os.kill(os.getpid(), signal.SIGINT)


def test_drained_resumed_cancelled(slurm, slow, make_study, capfd):
    slow.touch()
    study = make_study(arms={"gs": {}}, seeds=[1], settings=LONG)
    drained = ["scontrol", "update", f"nodename={slurm.nodes[0]}"]
    assert slurm.ask(*drained, "state=drain", "reason=test").returncode == 0
    # Whoever starts tests in the background may have had Ctrl-C ignored, and that is inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Ctrl-C: the command ends, the jobs stay.
        threading.Thread(target=interrupt, args=(study,)).start()
        assert study.call() == 130
        said = capfd.readouterr().err
        assert f"the jobs stay in the queue; `vqa-gs study status {study.out}`" in said
        assert "tasks wait, and may wait for ever; Slurm says why: " in said
        assert status(study, capfd) == {"gs, seed 1": "waiting"}
        assert study.call("--detach") == 0
        assert "0 runs submitted, 1 were waiting or running" in capfd.readouterr().err
        assert len(study.records.submissions()) == 2
    finally:
        signal.signal(signal.SIGINT, before)
        assert slurm.ask(*drained, "state=resume").returncode == 0
    wait_until(lambda: trains(study, 1))
    assert main(["study", "cancel", str(study.out)]) == 0
    assert "2 tasks were waiting or running" in capfd.readouterr().out
    wait_until(lambda: not slurm.ask("squeue", "-h").stdout.strip())
    assert study.task().state == "stopped"
    assert (study.out / "runs/gs/seed1/checkpoint.pt").exists()
    assert status(study, capfd) == {"gs, seed 1": "planned"}
    slow.unlink()
    assert study.call() == 0
    assert products(study.out) == study.undisturbed()


def test_a_run_that_fails_leaves_the_others_alone(slurm, make_study, capfd):
    study = make_study(arms={"diverges": {"training.lr": 1e30}, "gs": {}}, seeds=[1])
    assert study.call("--runs-per-task", "2") == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert "1 of 2 runs failed; the first: diverges, seed 1: the loss of" in error
    assert status(study, capfd) == {"diverges, seed 1": "failed", "gs, seed 1": "done"}
    assert len(study.records.submissions()[0].tasks) == 1
    assert "diverges, seed 1: failed" in (study.out / "study.md").read_text()
    failure = json.loads((study.out / "runs/diverges/seed1.failed.json").read_text())
    assert failure["node"] == slurm.nodes[0]


def test_runs_whose_preparation_fails_never_begin(slurm, make_study, capfd):
    step = ["features", "merge", "nowhere.h5", "--out", "{out}/store.h5"]
    study = make_study(prepare=[{"makes": "{out}/store.h5", "run": step}], seeds=[1], arms={"gs": {}})
    assert study.call() == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert "1 of 1 runs are not done, and no job of theirs is left" in error
    assert "nowhere.h5: no such" in error
    wait_until(lambda: not slurm.ask("squeue", "-h").stdout.strip())
    assert not list(study.out.glob("runs/*/*/config.yaml"))


def test_what_slurm_refuses_is_told_in_one_line(slurm, make_study, capfd):
    study = make_study()
    assert study.call("--slurm.partition", "nowhere") == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "invalid partition specified: nowhere" in error
    assert not study.records.submissions()
