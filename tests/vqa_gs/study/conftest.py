import io
from types import SimpleNamespace

import pytest
import yaml

from vqa_gs.cli import main
from vqa_gs.study import costs, pool, prepare
from vqa_gs.study.pool import Worker
from vqa_gs.study.worker import train_job


class Here:
    """A worker that is no process: the runs of these tests take less time than a process needs to begin."""

    def __init__(self, log, environment):
        pass

    def run(self, job):
        return train_job(job)

    def close(self):
        pass


@pytest.fixture(scope="module", autouse=True)
def workers_here():
    """Trains runs in this process; tests of workers ask for `worker_processes`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "Worker", Here)
        patch.setattr(costs, "Worker", Here)
        yield


@pytest.fixture
def worker_processes(workers_here):
    """Workers are processes, as they are outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "Worker", Worker)
        patch.setattr(costs, "Worker", Worker)
        yield


@pytest.fixture
def steps_forked(processes, monkeypatch):
    """The steps of a study's `prepare` are processes that need not import what they use."""

    def begun(words, *, env, **streams):
        done = processes.run(*words[3:], **env)
        stderr = io.BytesIO(done.stderr.encode())
        return SimpleNamespace(stderr=stderr, returncode=done.returncode, wait=lambda: None, kill=lambda: None)

    monkeypatch.setattr(prepare, "subprocess", SimpleNamespace(Popen=begun, DEVNULL=None, PIPE=None))


@pytest.fixture
def write_study(tiny, tmp_path):
    """Returns a function that writes a study over the tiny world, of three epochs a run."""

    def write(**parts):
        content = {
            "base": tiny["file"],
            "settings": {"training": {"epochs": 2, "checkpoint_every": 0}},
            "arms": {"baseline": {"data.pairs": [], "objectives.gradient_supervision.weight": 0}},
        }
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(content | parts, sort_keys=False))
        return file

    return write


@pytest.fixture
def refused(capfd):
    """Returns a function that calls `vqa-gs study` and returns the one line it is refused with."""

    def call(file, out, *more):
        capfd.readouterr()
        assert main(["study", "--config", str(file), "--out", str(out), *map(str, more)]) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1, error
        assert error.startswith("vqa-gs: ")
        return error

    return call
