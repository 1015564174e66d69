"""Runs on texts and on multi-label images that are killed: called again they end as undisturbed ones."""

from __future__ import annotations

import pytest
import yaml

from tests.killing import assert_survives_kills


def _same_every_time(name):
    return name.endswith((".safetensors", "words.json", "classes.json", "answers.json")) or "predictions/" in name


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["sentiment", "labels"])
def test_killed_and_called_again(processes, request, tmp_path, task, kills):
    settings = request.getfixturevalue(task)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    words = ["train", "--config", str(tmp_path / "config.yaml"), "--out"]
    assert_survives_kills(processes, lambda out: [*words, str(out / "run")], tmp_path, kills, kills, _same_every_time)
