import os
import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.slurm import Slurm, missing
from tests.vqa_gs.conftest import one_thread, tiny  # noqa: F401
from tests.vqa_gs.study.conftest import Here
from vqa_gs.cli import main
from vqa_gs.cluster import following
from vqa_gs.cluster.records import Records
from vqa_gs.study import pool

# Gradient supervision that takes its time: as long as a file is there, every step sleeps.
SLOW = """
import os, time
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionTerm as Term

def slow(self, outputs, forward=Term.forward):
    if os.path.exists(os.environ.get("SLOW", "")):
        time.sleep(0.3)
    return forward(self, outputs)

Term.forward = slow
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster():
    """A Slurm of one node of two CPUs; skips where Slurm is not installed."""
    yield from running(1)


@pytest.fixture
def slurm(cluster):
    """The Slurm, whose jobs are ended after each test."""
    yield cluster
    cluster.empty()


def running(nodes):
    lacking = missing()
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed: apt-get install slurm-wlm munge")
    before = dict(os.environ)
    with Slurm(nodes) as cluster:
        os.environ.update(cluster.environment)
        # A job is a new process: what it compiles is kept for the next one.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(cluster.folder / "compiled")
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        yield cluster
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def asked_often():
    """Slurm is asked every other second, not every half minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(following, "ASK_EVERY", 2.0)
        patch.setattr(following, "LOOK_EVERY", 0.2)
        yield


@pytest.fixture(scope="session")
def slow(tmp_path_factory):
    """A file; jobs that are submitted train slowly while it is there."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "slow.py").write_text(SLOW)
    before = {name: os.environ.get(name) for name in ("VQA_GS_PLUGINS", "SLOW")}
    os.environ["VQA_GS_PLUGINS"], os.environ["SLOW"] = str(folder / "slow.py"), str(folder / "sleep")
    yield folder / "sleep"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def wait_until(met, seconds=120):
    """Waits until a condition is met."""
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)


class Study:
    """A study over the tiny world, and its command."""

    def __init__(self, folder, **content):
        self.file, self.out = folder / "study.yaml", folder / "study"
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def call(self, *more, on="slurm", out=None):
        """Calls its command; returns its exit code."""
        words = ["study", "--config", self.file, "--out", out or self.out, "--on", on, *more]
        return main([*map(str, words)])

    @property
    def records(self):
        """What was submitted."""
        return Records(self.out / "slurm")

    def task(self, number=0):
        """What a task of the last array of runs says of itself."""
        return self.records.task([one for one in self.records.submissions() if one.kind == "runs"][-1].name, number)

    def undisturbed(self):
        """Trains it in this process, and returns what came out."""
        out = self.out.with_name("undisturbed")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pool, "Worker", Here)
            assert self.call(on="local", out=out) == 0
        return products(out)


def products(out):
    """What runs came to, by file, without what tells of time and place."""
    parts = ("model.safetensors", "metrics/ood_test.json", "predictions/ood_test.json")
    folders = [folder for folder in sorted(Path(out, "runs").rglob("seed*")) if folder.is_dir()]
    return {str(folder.relative_to(out) / part): (folder / part).read_bytes() for folder in folders for part in parts}


@pytest.fixture
def make_study(tiny, tmp_path):  # noqa: F811
    """Returns a function that writes a study over the tiny world."""

    def make(**parts):
        content = {
            "base": tiny["file"],
            "settings": {"training": {"epochs": 2, "checkpoint_every": 0}},
            "arms": {"gs": {}, "plain": {"data.pairs": [], "objectives.gradient_supervision.weight": 0}},
            "seeds": [1, 2],
        }
        return Study(tmp_path, **(content | parts))

    return make
