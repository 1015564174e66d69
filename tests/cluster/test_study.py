"""Studies on a real Slurm: to completion, disturbed in every way that Slurm has, submitted twice."""

import json

from tests.cluster.conftest import products
from vqa_gs.cli import main
from vqa_gs.cluster.records import Records


def submitted(study):
    """The kinds of what was submitted, in order."""
    return [one.kind for one in Records(study.out / "slurm").submissions()]


def test_to_completion_and_again(slurm, make_study, capfd):
    study = make_study()
    assert study.call() == 0
    said = capfd.readouterr()
    assert str(study.out / "study.html") in said.out
    assert "4 runs submitted, 0 were waiting or running" in said.err
    assert products(study.out) == study.undisturbed()
    assert len(json.loads((study.out / "study.json").read_text())["runs"]) == 4
