"""Studies run: to completion, after a kill, in shards, with runs that fail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from vqa_gs.features.joined import open_stores
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.cli import main
from vqa_gs.study.checks import content_hash
from vqa_gs.study.pool import Worker, child_environment, worker_environment
from vqa_gs.study.worker import Job

ARMS = {
    "baseline": {"data.pairs": [], "objectives.gradient_supervision.weight": 0},
    "gs": {},
    "contrast": {"objectives.gradient_supervision.variant": "contrast"},
}


def study(file, out, *more):
    return main(["study", "--config", str(file), "--out", str(out), *map(str, more)])


def state(out):
    """What runs came to, by file, without what tells of time and place."""
    found = {}
    for run in sorted(Path(out, "runs").rglob("seed*")):
        for part in ("model.safetensors", "metrics/ood_test.json", "predictions/ood_test.json"):
            if run.is_dir():
                found[str(run.relative_to(out) / part)] = (run / part).read_bytes()
    return found


def running(out):
    """Processes, workers too, that were started for a folder."""
    workers = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            log = os.readlink(entry / "fd" / "2")
        except (OSError, ValueError):
            continue
        if str(out) in words or log.startswith(str(out)):
            workers.append(int(entry.name))
    return workers


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    file = out / "study.yaml"
    file.write_text(
        json.dumps({"base": tiny["file"], "settings": {"training.epochs": 6}, "arms": ARMS, "seeds": [1, 2]})
    )
    assert study(file, out / "study") == 0
    return file, out / "study"


def test_killed_it_goes_on(undisturbed, tmp_path):
    file, whole = undisturbed
    out = tmp_path / "study"
    words = [sys.executable, "-m", "vqa_gs", "study", "--config", file, "--out", out, "--workers", "2"]
    with subprocess.Popen(words, env=child_environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.time() + 600
        while not list(out.glob("runs/*/*/done")) and time.time() < deadline:
            time.sleep(0.02)
        assert process.poll() is None
        assert len(running(out)) == 3
        process.send_signal(signal.SIGKILL)
    deadline = time.time() + 10
    while running(out) and time.time() < deadline:
        time.sleep(0.05)
    assert not running(out), "workers live on without the study"
    done = {file.parent: file.stat().st_mtime_ns for file in out.glob("runs/*/*/done")}
    assert 1 <= len(done) < 6

    assert study(file, out) == 0
    assert state(out).keys() == state(whole).keys()
    # Paths are not the same, numbers are; the workers had one thread each, as those of the undisturbed study.
    for name, content in state(whole).items():
        assert state(out)[name] == content, name
    assert {folder: (folder / "done").stat().st_mtime_ns for folder in done} == done


def test_finished_runs_are_left_alone(undisturbed):
    file, out = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    assert study(file, out) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == before


def test_shards_make_what_one_call_makes(undisturbed, tmp_path, capsys):
    file, whole = undisturbed
    assert study(file, tmp_path / "study", "--shard", "2/2") == 0
    assert "study.md" not in capsys.readouterr().out  # not all runs are there yet
    assert not (tmp_path / "study" / "study.md").exists()
    assert len(list((tmp_path / "study").glob("runs/*/*/done"))) == 3
    assert study(file, tmp_path / "study", "--report-only") == 0
    assert "3 runs are still to do" in (tmp_path / "study" / "study.md").read_text()
    assert study(file, tmp_path / "study", "--shard", "1/2") == 0
    assert state(tmp_path / "study") == state(whole)
    assert "still to do" not in (tmp_path / "study" / "study.md").read_text()


def test_changed_settings_and_data_are_refused(undisturbed, tiny, refused, tmp_path):
    file, out = undisturbed
    changed = tmp_path / "study.yaml"
    changed.write_text(
        json.dumps(
            {
                "base": tiny["file"],
                "settings": {"training.epochs": 6},
                "arms": {"gs": {"training.lr": 0.5}},
                "seeds": [2],
            }
        )
    )
    error = refused(changed, out)
    assert "training.lr was 0.02, is 0.5" in error
    assert f"remove {out / 'runs' / 'gs' / 'seed2'} to train it anew, or choose another --out" in error

    pairs = Path(tiny["data"]["pairs"][0])
    content = pairs.read_bytes()
    try:
        pairs.write_bytes(content + b"more")
        assert f"{pairs} changed since {out / 'runs' / 'gs' / 'seed1'} was trained" in refused(file, out)
    finally:
        pairs.write_bytes(content)
    assert study(file, out) == 0


def test_a_run_that_fails_stops_no_other(write_study, refused, tmp_path, capfd):
    out = tmp_path / "study"
    arms = {"diverges": {"training.lr": 1e30}, "gs": {}}
    error = refused_after_lines(write_study(arms=arms), out, capfd)
    assert "1 of 2 runs failed; the first: diverges, seed 0: the loss of" in error
    assert (out / "runs" / "gs" / "seed0" / "done").exists()
    assert "the loss of" in json.loads((out / "runs" / "diverges" / "seed0.failed.json").read_text())["error"]
    report = (out / "study.md").read_text()
    assert "diverges, seed 0: failed, the loss of" in report
    assert "1 failed" in report


def refused_after_lines(file, out, capfd):
    capfd.readouterr()
    assert study(file, out) == 2
    return capfd.readouterr().err.splitlines()[-1]


def test_a_process_that_dies_is_a_failed_run(worker_processes, write_study, tmp_path, monkeypatch, capfd):
    # A worker without memory to speak of, as under a batch system's limit.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\nif 'vqa_gs.study.worker' in sys.orig_argv:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    error = refused_after_lines(write_study(), tmp_path / "study", capfd)
    assert "its process was ended by signal 9" in error


def test_a_worker_survives_a_run_that_fails(tiny, tmp_path):
    worker = Worker(tmp_path / "log", worker_environment(0, 1, 0))
    try:
        assert worker.run(Job({"data": {}}, str(tmp_path / "a"))).status == "failed"
        config = {key: value for key, value in tiny.items() if key != "file"}
        config["training"] = {**config["training"], "max_steps": 1}
        result = worker.run(Job(config, str(tmp_path / "b")))
        assert result.status == "done", result
        assert result.peak_memory > 50e6
        assert result.seconds > 0
    finally:
        worker.close()


def test_workers_share_cores_and_devices(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("vqa_gs.study.pool.available_cores", lambda: 8)
    assert [worker_environment(index, 3, 0)["OMP_NUM_THREADS"] for index in range(3)] == ["2", "2", "2"]
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(0, 3, 1)
    assert [worker_environment(index, 3, 2)["CUDA_VISIBLE_DEVICES"] for index in range(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert [worker_environment(index, 2, 2)["CUDA_VISIBLE_DEVICES"] for index in range(2)] == ["GPU-a", "GPU-b"]


def test_dry_run_tells_and_does_nothing(undisturbed, write_study, tmp_path, capsys):
    file, out = undisturbed
    assert study(file, out, "--dry-run") == 0
    page = capsys.readouterr().out
    assert "6 runs, 6 done, 0 left" in page
    assert "finished" in page

    file = write_study(arms={"swept": {"sweep": {"data.max_pairs": [5, 20]}}}, seeds=[1, 2])
    assert study(file, tmp_path / "new", "--dry-run", "--trial-steps", 2, "--workers", 2) == 0
    output = capsys.readouterr()
    # Both arms cost the same: one trial tells of both.
    assert output.err.count("timing 2 steps") == 1
    assert "4 runs, 0 done, 4 left" in output.out
    assert "time left: at most" in output.out
    assert "memory: about" in output.out
    assert not (tmp_path / "new" / "runs").exists()
    assert study(file, tmp_path / "new", "--dry-run", "--trial-steps", 0) == 0
    assert "time left: not known for 4 of 4 runs" in capsys.readouterr().out


def test_edited_images_in_a_store_of_their_own_are_no_change(tmp_path):
    for name, image in (("originals", 1), ("edits", "1_edit")):
        strings = isinstance(image, str)
        with RegionStoreWriter(
            tmp_path / f"{name}.h5", dim=2, dtype="float32", fingerprint="x", string_ids=strings
        ) as writer:
            writer.add(image, np.ones((1, 2), np.float32), np.zeros((1, 4), np.float32), (4, 4))
    paths = [str(tmp_path / "originals.h5"), str(tmp_path / "edits.h5")]
    assert content_hash((paths[0],), True) == RegionStore(paths[0]).content_hash
    assert content_hash(tuple(paths), True) == open_stores(paths).content_hash
    (tmp_path / "text").write_text("a")
    # SHA-256 of "a".
    expected = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert content_hash((str(tmp_path / "text"),), False) == expected
    assert content_hash((str(tmp_path / "nowhere"),), True) is None
