"""Runs that are told to end: a checkpoint after the step they are at, and the bytes of an undisturbed run."""

import os
import signal
import threading

import pytest

from tests.vqa_gs.training.test_interruptions import SHORT, assert_same_run, short_run, whole  # noqa: F401
from tests.vqa_gs.training.test_loop import config_of
from vqa_gs.cli import main
from vqa_gs.common.stopping import Stopped, stoppable
from vqa_gs.training.loop import train
from vqa_gs.training.step import TrainingStep


@pytest.fixture
def told(monkeypatch):
    """Returns a function that makes the n-th step of training here be told to end by a signal."""

    def make(number, at):
        steps = []

        def forward(self, batch, forward=TrainingStep.forward):
            steps.append(batch)
            if len(steps) == at:
                os.kill(os.getpid(), number)
            return forward(self, batch)

        monkeypatch.setattr(TrainingStep, "forward", forward)

    return make


@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, 4), (signal.SIGUSR2, 5), (signal.SIGUSR2, 15)])
def test_told_to_end_it_goes_on_from_that_step(tiny, whole, told, monkeypatch, tmp_path, number, at):  # noqa: F811
    out = tmp_path / "run"
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR2)]
    told(number, at)
    with pytest.raises(Stopped, match=f"{out} goes on after step {at}$") as stopped:
        train(config_of(tiny, **SHORT), out, quiet=True)
    assert stopped.value.number == number
    assert (out / "checkpoint.pt").exists()
    assert not (out / ".lock").exists()
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR2)] == before
    monkeypatch.undo()
    assert_same_run(train(config_of(tiny, **SHORT), out, quiet=True), whole)


def test_the_command_tells_and_ends_with_the_signal(tiny, told, tmp_path, capfd):
    told(signal.SIGTERM, 2)
    assert main(short_run(tiny, tmp_path / "run")) == 128 + signal.SIGTERM
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"vqa-gs: stopped by SIGTERM: {tmp_path / 'run'} goes on after step 2"


def test_a_signal_nobody_heard_of_acts_after_the_block():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with stoppable() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert stop.asked == signal.SIGUSR2
            assert not heard
        assert heard == [signal.SIGUSR2]
        with stoppable() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            stop.heard = True
        assert heard == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_beside_the_main_thread_nothing_changes():
    found = []

    def work():
        with stoppable() as stop:
            found.append((stop.asked, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(0, before)]
