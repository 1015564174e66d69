import pytest
import yaml

from vqa_gs.cli import main


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
