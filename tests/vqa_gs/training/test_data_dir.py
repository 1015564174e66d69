"""``{data_dir}`` in file names: from the setting, else from the environment."""

import pytest
import yaml

from tests.run_settings import config_of
from vqa_gs.common.errors import UsageError
from vqa_gs.study.spec import read_study

GIVEN = {
    "data": {
        "train": {"questions": "{data_dir}/q.json", "annotations": "{data_dir}/a.json"},
        "tests": {"ood": {"questions": "x.json", "annotations": "y", "subsets": {"some": "{data_dir}/ids.json"}}},
        "features": "{data_dir}/r.h5",
        "pairs": ["{data_dir}/p.h5"],
    }
}


def files(config):
    data = config.data
    return [data.train.questions, data.tests["ood"].questions, data.tests["ood"].subsets["some"], *data.pairs]


def test_the_setting_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("VQA_DATA", "/there")
    assert files(config_of(GIVEN)) == ["/there/q.json", "x.json", "/there/ids.json", "/there/p.h5"]
    config = config_of(GIVEN, data_dir="/here")
    assert files(config) == ["/here/q.json", "x.json", "/here/ids.json", "/here/p.h5"]
    assert config == config_of(config.to_dict())  # what is saved says it all


def test_without_either_it_is_refused(monkeypatch):
    monkeypatch.delenv("VQA_DATA", raising=False)
    with pytest.raises(
        UsageError, match="what {data_dir} stands for is not said .set the environment variable VQA_DATA"
    ):
        config_of(GIVEN)


def test_a_study_takes_it_for_its_steps_too(monkeypatch, tmp_path):
    monkeypatch.delenv("VQA_DATA", raising=False)
    file = tmp_path / "study.yaml"
    words = ["features", "convert", "{data_dir}/r.hdf5", "--out", "{out}/r.h5"]
    file.write_text(
        yaml.safe_dump({"prepare": [{"makes": "{out}/r.h5", "run": words}], "arms": {"a": {}}, "seeds": [1]})
    )
    (step,) = read_study(file, "runs/x", "/here").prepare
    assert step.words == ["features", "convert", "/here/r.hdf5", "--out", "runs/x/r.h5"]
    with pytest.raises(UsageError, match="VQA_DATA"):
        read_study(file, "runs/x")
