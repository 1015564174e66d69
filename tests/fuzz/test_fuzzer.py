"""The fuzzer finds what it is to find, says it again, and finds nothing in the first cases of every reader."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest

from tests.fuzz import fuzzer
from tests.fuzz.fuzzer import Tally, damage, fuzz, run_cases
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import READERS, write_seeds
from vqa_gs.common.errors import DataError


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "seeds"
    write_seeds(folder)
    return folder


def test_healthy_files_are_read(seeds):
    for name, read in READERS.items():
        if name != "checkpoint":  # of a run that is made up
            read(seeds / name)


def test_healthy_files_are_read_within_the_limits_of_a_case(seeds, monkeypatch):
    monkeypatch.setattr(fuzzer, "damage", lambda *_: None)
    for name, read in READERS.items():
        if name != "checkpoint":

            def must_read(folder, read=read):
                try:
                    read(folder)
                except DataError as error:
                    raise RuntimeError(str(error)) from error

            assert list(run_cases(name, must_read, seeds, 0, [0])) == []


def test_the_first_cases_of_every_reader(seeds):
    for name, read in READERS.items():
        assert list(run_cases(name, read, seeds, 2, range(6))) == []


def test_damage_is_that_of_its_seed():
    content = bytes(range(256)) * 20
    for name in ("x.json", "x.pkl", "x.h5", "x.yaml"):
        once, again, other = (mutated(content, name, random.Random(seed)) for seed in (1, 1, 2))
        assert once == again != other


def _crash(folder):
    os.kill(os.getpid(), 11)


def _strange(folder):
    return {}["missing"]


class _TwoLines(DataError):
    def __str__(self):
        return "one\ntwo"


def _lines(folder):
    raise _TwoLines("x")


def _memory(folder):
    np.ones(300 << 20, np.uint8)


def _lost(folder):
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (_crash, "ended with -11"),
        (_strange, "KeyError"),
        (_lines, "no line"),
        (_memory, " MB"),
        (_lost, "SystemExit"),
        (lambda folder: time.sleep(30), "more than 0.2 s"),
    ],
)
def test_what_must_not_happen_is_found_and_the_rest_goes_on(tmp_path, monkeypatch, read, problem):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[1, 2, 3]")
    monkeypatch.setattr(fuzzer, "MEMORY", 200 << 20)
    monkeypatch.setattr(fuzzer, "SECONDS", 0.2 if "0.2" in problem else 20)
    monkeypatch.setattr(fuzzer, "GRACE", 0.3)
    monkeypatch.setattr(fuzzer, "PATIENCE", 20)
    seen = list(run_cases("reader", read, tmp_path, 0, [0, 7]))
    assert [failure.number for failure in seen] == [0, 7]
    assert all(problem in failure.problem for failure in seen), seen


def test_a_case_keeps_the_session_and_so_its_priority(tmp_path):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[]")
    session = os.getsid(0)

    def read(folder):
        assert os.getsid(0) == session
        assert os.getpgid(0) == os.getpid()

    assert list(run_cases("reader", read, tmp_path, 0, [0])) == []


def test_what_the_cases_took(tmp_path):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[]")
    tally = Tally()
    assert list(run_cases("reader", lambda folder: np.ones(50 << 20, np.uint8), tmp_path, 0, [3, 4], tally)) == []
    assert tally.cases == 2
    assert 45 << 20 <= tally.bytes <= 100 << 20


def test_as_many_cases_as_there_is_time_for(tmp_path):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[1, 2, 3]")
    heard = []
    tallies, failures = fuzz(
        {"reader": lambda folder: time.sleep(0.01)}, tmp_path, 0, 0.5, told=lambda *told: heard.append(told)
    )
    assert tallies["reader"].cases > 0
    assert 0.005 < tallies["reader"].seconds < 20
    assert heard[-1] == (tallies, [])
    assert failures == []
    one = damage(tmp_path / "reader", "reader", 0, 3)
    assert one.read_bytes() != b"[1, 2, 3]"


def _spin(folder):
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass


def test_waiting_for_a_processor_is_no_fault_of_a_case(tmp_path, monkeypatch):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[]")
    monkeypatch.setattr(fuzzer, "SECONDS", 0.4)
    monkeypatch.setattr(fuzzer, "GRACE", 0.1)
    one = min(os.sched_getaffinity(0))
    others = []
    for _ in range(3):
        other = os.fork()
        if other == 0:
            os.sched_setaffinity(0, {one})
            signal.alarm(20)
            while True:
                pass
        others.append(other)

    def read(folder):
        os.sched_setaffinity(0, {one})
        _spin(folder)

    tally = Tally()
    try:
        begun = time.monotonic()
        assert list(run_cases("reader", read, tmp_path, 0, [0], tally)) == []
        wall = time.monotonic() - begun
    finally:
        for other in others:
            os.kill(other, 9)
            os.waitpid(other, 0)
    assert wall > 0.5
    assert tally.seconds < 0.4


def test_a_case_that_computes_for_ever_is_found_where_it_has_to_wait_too(tmp_path, monkeypatch):
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / "x.json").write_text("[]")
    monkeypatch.setattr(fuzzer, "SECONDS", 0.1)
    monkeypatch.setattr(fuzzer, "GRACE", 0.2)
    (seen,) = run_cases("reader", _spin, tmp_path, 0, [0])
    assert seen.problem.startswith("took ")
