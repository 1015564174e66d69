import json

import pytest

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.study.prepare import outdated, prepare, record_file, step_keys, unneeded
from vqa_gs.study.spec import Step


@pytest.fixture
def steps(tiny, tmp_path):
    """A pair table, and its shuffled control made from it."""
    data = tiny["data"]
    asked = ["--questions", data["train"]["questions"], "--annotations", data["train"]["annotations"]]
    asked += ["--features", data["features"], "--out"]
    pairs, shuffled = str(tmp_path / "pairs.h5"), str(tmp_path / "shuffled.h5")
    return [
        Step(pairs, ["pairs", "build", "--kind", "same-question", *asked, pairs]),
        Step(shuffled, ["pairs", "build", "--kind", "shuffled", "--shuffled.of", pairs, *asked, shuffled]),
    ]


def test_made_once_and_again_where_the_command_changes(steps, steps_forked, tmp_path):
    said = []
    prepare(steps, tmp_path / "out", tmp_path / "study.yaml", said.append)
    assert [line.split()[4] for line in said] == ["same-question", "shuffled"]
    made = {step.makes: (tmp_path / step.makes).stat().st_mtime_ns for step in steps}
    prepare(steps, tmp_path / "out", tmp_path / "study.yaml", said.append)
    assert len(said) == 2
    assert {step.makes: (tmp_path / step.makes).stat().st_mtime_ns for step in steps} == made

    second = [steps[0], Step(steps[1].makes, [*steps[1].run, "--seed", 3])]
    assert outdated(second) == [second[1]]
    # What is made from a file that is made anew is made anew, too.
    first = [Step(steps[0].makes, [*steps[0].run, "--seed", 3]), steps[1]]
    assert outdated(first) == first
    (tmp_path / "pairs.h5").unlink()
    assert outdated(steps) == [steps[0]]


def test_keys_chain_by_the_files_that_are_named():
    one, two, three = Step("a.h5", ["x"]), Step("b.h5", ["y", "--of=a.h5"]), Step("c.h5", ["z"])
    before = step_keys([one, two, three])
    after = step_keys([Step("a.h5", ["x", "--more"]), two, three])
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True]


def test_files_of_others_are_not_overwritten(steps, tmp_path):
    (tmp_path / "pairs.h5").write_text("mine")
    with pytest.raises(UsageError, match="was not made by a study"):
        prepare(steps, tmp_path / "out", tmp_path / "study.yaml", print)
    assert (tmp_path / "pairs.h5").read_text() == "mine"


def test_interrupted_making_is_made_again(steps, steps_forked, tmp_path):
    (tmp_path / "pairs.h5").write_text("half")
    key = step_keys(steps)[0]
    record_file(steps[0].makes).write_text(json.dumps({"key": key, "command": [], "finished": False}))
    prepare(steps[:1], tmp_path / "out", tmp_path / "study.yaml", print)
    assert (tmp_path / "pairs.h5").stat().st_size > 1000
    record_file(steps[0].makes).write_text("{")
    with pytest.raises(DataError, match="no record of how a file was made"):
        outdated(steps)


def test_a_step_that_fails_is_told_with_its_own_line(steps, tmp_path):
    bad = Step(str(tmp_path / "x.h5"), ["pairs", "build", "--kind", "nothing", *steps[0].run[4:]])
    with pytest.raises(UsageError, match="prepare.0: `vqa-gs pairs` failed: .*nothing"):
        prepare([bad], tmp_path / "out", tmp_path / "study.yaml", print)
    other = Step(str(tmp_path / "x.h5"), steps[0].run)
    with pytest.raises(UsageError, match=r"prepare.0: the command has not made .*x\.h5"):
        prepare([other], tmp_path / "out", tmp_path / "study.yaml", print)


def test_what_only_other_runs_need_is_not_made(tmp_path):
    store, pairs = Step("r.h5", ["convert", "--out", "r.h5"]), Step("p.h5", ["pairs", "--features", "r.h5"])
    control, more = Step("s.h5", ["pairs", "--of", "p.h5"]), Step("world.json", ["demo"])
    steps, named = [store, pairs, control, more], {"r.h5", "p.h5", "s.h5", "q.json"}
    assert unneeded(steps, named, named) == []
    assert unneeded(steps, named, {"r.h5", "p.h5"}) == [control]
    assert unneeded(steps, named, {"r.h5"}) == [control, pairs]
    assert unneeded(steps, named, {"s.h5"}) == []  # it is made from the others
    # Of world.json nobody speaks: its step may make more than it says.
    assert unneeded(steps, named, {"q.json"}) == [control, pairs, store]
    said = []
    bad = [Step(str(tmp_path / "x.h5"), ["pairs", "nonsense"])]
    prepare(bad, tmp_path / "out", tmp_path / "study.yaml", said.append, bad)
    assert outdated(bad, bad) == said == []


def test_a_step_tells_what_it_does(steps, tmp_path, monkeypatch):
    # A child's phases are told after five seconds; notes and warnings at once.
    monkeypatch.setattr("vqa_gs.study.prepare.sys.executable", str(tmp_path / "python"))
    lines = ["#!/bin/sh", "echo 'matching: 3 of 4' >&2", "sleep 0.2", "echo 'vqa-gs: too bad' >&2", "exit 2", ""]
    (tmp_path / "python").write_text("\n".join(lines))
    (tmp_path / "python").chmod(0o755)
    said = []
    with pytest.raises(UsageError, match="`vqa-gs pairs` failed: too bad"):
        prepare(steps, tmp_path / "out", tmp_path / "study.yaml", said.append)
    assert said[1:] == ["matching: 3 of 4"]
