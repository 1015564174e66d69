import time

import pytest

from vqa_gs.common import phases
from vqa_gs.common.phases import LOG, FileHandler, StderrHandler, listening, phase


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(phases, "_FIRST", 0.02)
    monkeypatch.setattr(phases, "_LONGEST", 0.02)


def test_a_long_phase_tells_how_far_it_is_and_how_long_it_took(hurried, tmp_path, capsys):
    file = FileHandler()
    with listening(file), listening(StderrHandler()):
        with phase("scoring ood_test", 1_200, "questions") as advance:
            advance(400)
            advance(600)
            time.sleep(0.1)
        file.open(tmp_path / "train.log")
        LOG.info("epoch %d", 3)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "scoring ood_test: 1,000 of 1,200 questions, after 0 s"
    assert said[-2:] == ["scoring ood_test: 0 s", "epoch 3"]
    written = (tmp_path / "train.log").read_text().splitlines()
    assert [line[20:] for line in written] == said
    assert all(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S") for line in written)


def test_what_a_bar_tells_is_not_told_beside_it(hurried, tmp_path, capsys):
    file = FileHandler()
    with listening(file), listening(StderrHandler()):
        with phase("training", 8, "steps") as far:
            far.has_bar = True
            time.sleep(0.1)
        LOG.info("epoch 3")
    file.open(tmp_path / "train.log")
    assert capsys.readouterr().err == "epoch 3\n"
    assert "training, after 0 s" in (tmp_path / "train.log").read_text().replace(": 0 of 8 steps", "")


def test_of_phases_within_each_other_the_innermost_tells(hurried, capsys):
    with listening(StderrHandler()), phase("making pairs"):
        with phase("matching", 4, "pairs") as far:
            far.at(3, 4)
            time.sleep(0.1)
        inside = capsys.readouterr().err.splitlines()
        time.sleep(0.1)
    assert set(inside) == {"matching: 3 of 4 pairs, after 0 s", "matching: 0 s"}
    assert set(capsys.readouterr().err.splitlines()) == {"making pairs, after 0 s", "making pairs: 0 s"}


def test_what_is_known_is_told():
    far = phases.Phase("training", None, "steps")
    assert far.line(7.6) == "training, after 8 s"
    far(1_200)
    far.note = "loss 2.1"
    assert far.line(7.6) == "training: 1,200 steps, after 8 s, loss 2.1"


def test_a_short_phase_says_nothing(capsys):
    with listening(StderrHandler()), phase("reading"):
        pass
    assert capsys.readouterr().err == ""


def test_nobody_listens(hurried, capsys):
    with phase("reading", 3) as advance:
        advance(1)
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_an_error_goes_through_and_stands_alone(hurried, capsys):
    with listening(StderrHandler()), pytest.raises(KeyError), phase("reading"):
        time.sleep(0.05)
        raise KeyError("x")
    assert "reading: 0 s" not in capsys.readouterr().err
    assert not phases._RUNNING


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    file = FileHandler()
    file.open(tmp_path / "nowhere" / "train.log")
    with listening(file):
        LOG.info("line")
    assert not (tmp_path / "nowhere").exists()
