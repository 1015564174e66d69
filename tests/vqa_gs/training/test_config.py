"""Settings saved with a run, read by another version."""

import pytest
import yaml

from tests.vqa_gs.training.test_loop import config_of
from vqa_gs.common.errors import DataError
from vqa_gs.training.config import load_config


def test_a_term_that_is_gone_does_not_matter_where_it_was_off(tiny, tmp_path):
    config, file = config_of(tiny), tmp_path / "config.yaml"
    values = config.to_dict()
    values["objectives"]["gone"] = {"weight": 0.0, "margin": 4.0}
    # The schedule of a term that is one setting of another now.
    values["objectives"]["random_image"] = {"weight": 0.0, "start_epoch": 0.0, "warmup_epochs": 0.0}
    file.write_text(yaml.safe_dump(values))
    assert load_config(file) == config
    values["objectives"]["gone"]["weight"] = 0.5
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(DataError, match=r"gone.*train the run anew, or read it with the version"):
        load_config(file)
    del values["objectives"]["gone"]
    values["objectives"]["random_image"]["weight"] = 0.5
    values["objectives"].pop("negative_image")
    file.write_text(yaml.safe_dump(values))
    found = load_config(file).objectives.negative_image
    assert (found.weight, found.kind) == (0.5, "random_image")
