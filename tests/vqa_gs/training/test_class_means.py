"""Training towards the mean of the partner's class: killed and resumed, refused without classes."""

from dataclasses import replace

import numpy as np
import pytest
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.table import read_pair_table, write_pair_table

from tests.run_settings import config_of
from tests.vqa_gs.tasks.runs import train_with_a_break
from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import read_question_set
from vqa_gs.training.loop import train

MEAN = {"weight": 1.0, "toward": "mean"}
SHORT = {"training__epochs": 2, "objectives__gradient_supervision": MEAN}


@pytest.fixture(name="tiny")
def settings_of_tiny(tiny):
    return {name: value for name, value in tiny.items() if name != "file"}


@pytest.fixture
def told(tiny, tmp_path):
    """The tiny world's pairs, each region's class the colour it shows, or nothing."""
    table = read_pair_table(tiny["data"]["pairs"][0])
    files = tiny["data"]["train"]
    image_of = {one.question_id: one.image_id for one in read_question_set(files["questions"]).questions}
    store = RegionStore(tiny["data"]["features"])
    codes = np.full(table.rows.shape, -1, np.int32)
    for pair in range(len(table)):
        rows = slice(table.first[pair], table.first[pair + 1])
        for end, column in enumerate((table.question_a, table.question_b)):
            features = store.read_batch([image_of[column[pair]]]).features[0].numpy()
            shown = np.where(features.max(1) > 2, features.argmax(1), 4)
            region = table.rows[rows, end]
            codes[rows, end] = np.where(region >= 0, shown[region], -1)
    names = ("red", "green", "blue", "grey", "nothing")
    write_pair_table(tmp_path / "told.h5", replace(table, region_class=codes, class_names=names))
    return str(tmp_path / "told.h5")


def test_a_run_is_resumed_to_the_same_bytes_and_is_another_one(tiny, told, tmp_path, monkeypatch):
    config = config_of(tiny, data__pairs=[told], **SHORT)
    train(config, tmp_path / "whole", quiet=True)
    train_with_a_break(config, tmp_path / "broken", monkeypatch)
    train(config_of(tiny, data__pairs=[told], training__epochs=2), tmp_path / "plain", quiet=True)
    content = [(run / "model.safetensors").read_bytes() for run in (tmp_path / "whole", tmp_path / "broken")]
    assert content[0] == content[1] != (tmp_path / "plain" / "model.safetensors").read_bytes()


def test_pairs_without_classes_are_refused_before_training(tiny, tmp_path):
    with pytest.raises(UsageError, match="toward: mean needs pairs whose regions have classes"):
        train(config_of(tiny, **SHORT), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "done").exists()
