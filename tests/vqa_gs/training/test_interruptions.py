"""Runs that are killed, or run out of disk: the next call ends with the bytes an undisturbed run ends with."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

import pytest

from tests.vqa_gs.training.test_loop import config_of, rows
from vqa_gs.common.errors import DataError
from vqa_gs.pipeline.read_ahead import read_ahead
from vqa_gs.training.loop import train

# Importing takes longer than these runs: a process that has imported everything forks one process for each command.
SERVER = """
import json, os, resource, sys
import docstring_parser, tensorboard.summary.writer.record_writer, torch._dynamo, torch.utils.tensorboard.summary
import vqa_gs.cli.train
from vqa_gs.cli import main
for line in sys.stdin:
    words, limit = json.loads(line)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.close(write)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        os._exit(main(words))
    os.close(write)
    print(child, flush=True)
    with open(read) as errors:
        said = errors.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said]), flush=True)
"""


class Commands:
    """Starts command lines in processes of their own."""

    def __init__(self):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, words, limit=0):
        """Starts a command, whose files may not grow beyond ``limit`` bytes; returns its process id."""
        self.server.stdin.write(json.dumps([words, limit]) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self):
        """Returns the exit code of the command started last, and what it wrote to standard error."""
        return json.loads(self.server.stdout.readline())

    def close(self):
        """Ends the server."""
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


@pytest.fixture(scope="module")
def commands():
    started = Commands()
    started.start(["--version"])  # it has imported everything when it answers
    assert started.wait()[0] == 0
    yield started
    started.close()


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
def test_killed_at_any_moment_and_called_again_equals_undisturbed(commands, whole, tiny, tmp_path, kills):
    rng = random.Random(kills)
    begin = time.monotonic()
    commands.start(short_run(tiny, tmp_path / "undisturbed"))
    assert commands.wait()[0] == 0
    duration = time.monotonic() - begin
    killed = number = 0
    while killed < kills:
        number += 1
        out, code = tmp_path / str(number), None
        while code != 0:
            before = modified(out / "checkpoint.pt")
            process = commands.start(short_run(tiny, out))
            if killed % 2 == 0:  # at any moment of its life
                time.sleep(rng.uniform(0, duration))
            else:  # soon after it took a step
                until = time.monotonic() + 60
                while modified(out / "checkpoint.pt") in (None, before) and time.monotonic() < until:
                    if (out / "done").exists():
                        break
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.1))
            if killed < kills:
                with suppress(ProcessLookupError):  # it was quicker
                    os.kill(process, signal.SIGKILL)
            code, said = commands.wait()
            assert code in (0, -signal.SIGKILL), said
            killed += code != 0
        assert_same_run(out, whole)
        assert not leftovers(out)


@pytest.mark.parametrize("limit", [100, 3_000, 12_000, 60_000])
def test_full_disk_is_one_line_and_costs_nothing(commands, whole, tiny, tmp_path, limit):
    out = tmp_path / "run"
    commands.start(short_run(tiny, out), limit)
    code, said = commands.wait()
    lines = [line for line in said.splitlines() if not line.startswith("epoch ")]
    assert code == 2, said
    assert len(lines) == 1, said
    assert str(out) in lines[0]
    assert "cannot be written" in lines[0]
    assert not leftovers(tmp_path)
    commands.start(short_run(tiny, out))
    assert commands.wait()[0] == 0
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
