"""Runs that are killed, or run out of disk: the next call ends with the bytes an undisturbed run ends with."""

import random
import signal
import threading
import time
from contextlib import closing

import pytest

from tests.vqa_gs.training.test_loop import config_of, rows
from vqa_gs.common.errors import DataError
from vqa_gs.pipeline.read_ahead import read_ahead
from vqa_gs.training.loop import train

SHORT = {"training__epochs": 3, "training__checkpoint_every": 1, "training__schedule": "cosine"}


def short_run(tiny, out):
    return [
        "train",
        "--config",
        tiny["file"],
        "--training.epochs",
        "3",
        "--training.checkpoint_every",
        "1",
        "--training.schedule",
        "cosine",
        "--out",
        str(out),
    ]


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run that nothing disturbs."""
    return train(config_of(tiny, **SHORT), tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def assert_same_run(run, whole):
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    for name in ("log.csv", "epochs.csv"):
        assert rows(run / name) == rows(whole / name)
    for name in ("metrics/ood_test.json", "metrics/iid_val.json", "predictions/ood_test.json", "words.json"):
        assert (run / name).read_text() == (whole / name).read_text()
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in whole.iterdir())


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def modified(file):
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_and_called_again_equals_undisturbed(processes, whole, tiny, tmp_path, kills):
    rng = random.Random(kills)
    begin = time.monotonic()
    assert processes.run(*short_run(tiny, tmp_path / "undisturbed")).returncode == 0
    duration = time.monotonic() - begin
    killed = number = 0
    while killed < kills:
        number += 1
        out, code = tmp_path / str(number), None
        while code != 0:
            before = modified(out / "checkpoint.pt")
            process = processes.start(*short_run(tiny, out))
            if killed % 2 == 0:  # at any moment of its life
                time.sleep(rng.uniform(0, duration))
            else:  # soon after it took a step
                process.wait_until(lambda out=out, old=before: modified(out / "checkpoint.pt") not in (None, old))
                time.sleep(rng.uniform(0, 0.1))
            if killed < kills:
                process.kill()  # unless it was quicker
            code = process.wait()
            assert code in (0, -signal.SIGKILL), process.stderr
            killed += code != 0
        assert_same_run(out, whole)
        assert not leftovers(out)


@pytest.mark.parametrize("limit", [100, 3_000, 12_000, 60_000])
def test_full_disk_is_one_line_and_costs_nothing(processes, whole, tiny, tmp_path, limit):
    out = tmp_path / "run"
    process = processes.run(*short_run(tiny, out), limit=limit)
    lines = [line for line in process.stderr.splitlines() if not line.startswith("epoch ")]
    assert process.returncode == 2, process.stderr
    assert len(lines) == 1, process.stderr
    assert str(out) in lines[0]
    assert "cannot be written" in lines[0]
    assert not leftovers(tmp_path)
    assert processes.run(*short_run(tiny, out)).returncode == 0
    assert_same_run(out, whole)


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_reading_ahead_ends_with_the_block_that_wanted_it():
    made = []

    def make(step):
        made.append(step)
        return step

    with pytest.raises(RuntimeError, match="enough"), closing(read_ahead(make, range(1000))) as items:
        for item in items:
            if item == 3:
                raise RuntimeError("enough")
    assert readers() == []
    assert len(made) < 10


def test_error_of_the_reading_thread_is_raised_where_its_item_was_wanted():
    def make(step):
        if step == 2:
            raise DataError("spoilt")
        return step

    seen = []
    with pytest.raises(DataError, match="spoilt"), closing(read_ahead(make, range(5))) as items:
        seen.extend(items)
    assert seen == [0, 1]
    assert readers() == []


def test_aborted_training_leaves_no_thread_behind(tiny, tmp_path, monkeypatch):
    from vqa_gs.training import loop

    def interrupted(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop._Run, "_train_step", interrupted)
    with pytest.raises(KeyboardInterrupt) as kept:  # keeps the traceback, and with it every frame, alive
        train(config_of(tiny), tmp_path / "run", quiet=True)
    assert kept.value.__traceback__ is not None
    assert readers() == []
