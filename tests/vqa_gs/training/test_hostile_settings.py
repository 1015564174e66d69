"""Settings that somebody else wrote: nothing that they name is imported, called or read as further settings."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Union, get_args, get_origin

import pytest
import yaml

from vqa_gs.cli import main
from vqa_gs.common.errors import VqaGsError
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.tasks import TASKS
from vqa_gs.training.config import RunConfig, load_config
from vqa_gs.training.settings_shape import parts_of

SPLIT = {"questions": "q.json", "annotations": "a.json"}
SETTINGS = {"data": {"train": SPLIT, "features": "f.h5", "tests": {"ood": SPLIT}}}

CODE = {"class_path": "payload.X"}
PLACES = [("data",), ("data", "train"), ("data", "tests"), ("data", "tests", "ood"), ("model",), ("objectives",)]
PLACES += [("objectives", "answer"), ("training",), ("name",), ("data.train",), ("objectives.answer",)]
FORMS = [CODE, "payload.X", "{class_path: payload.X}", "payload.yaml", {**CODE, "init_args": {}}, ["payload.X"]]


def _with(place, value):
    settings = yaml.safe_load(yaml.safe_dump(SETTINGS))
    inner = settings
    for name in place[:-1]:
        inner = inner.setdefault(name, {})
    inner[place[-1]] = value
    return settings


@pytest.fixture
def payload(tmp_path, monkeypatch):
    """A module that leaves a trace when it is imported, and settings that name it."""
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    (tmp_path / "payload.yaml").write_text("class_path: payload.X\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "executed"
    sys.modules.pop("payload", None)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_nothing_that_a_run_names_is_imported(payload, tmp_path, place):
    for form in FORMS:
        if place == ("name",) and isinstance(form, str) and "class_path" not in form:
            continue  # a name
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(_with(place, form)))
        with pytest.raises(VqaGsError, match=r"config\.yaml"):
            load_config(tmp_path / "config.yaml")
        assert main(["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")]) == 2
        assert not payload.exists()
        assert not (tmp_path / "out").exists()


def test_a_configuration_does_not_read_another(payload, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("config: payload.yaml\n" + yaml.safe_dump(SETTINGS))
    assert main(["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert "a configuration does not name others" in capsys.readouterr().err
    assert not payload.exists()


def _kinds(kind, seen):
    """Yields every type that a setting has, those of its parts too."""
    if is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        for inner in parts_of(kind).values():
            yield inner
            yield from _kinds(inner, seen)
    for inner in get_args(kind):
        yield from _kinds(inner, seen)


def test_no_setting_is_a_text_or_parts():
    # Of such a one it could not be told whether a text is one, or the name of a class.
    kinds = [RunConfig, *(TASKS[name].Data for name in TASKS), *(OBJECTIVES[name].Settings for name in OBJECTIVES)]
    kinds += [TASKS[name].models[model].Settings for name in TASKS for model in TASKS[name].models]
    assert fields(RunConfig)
    for kind in kinds:
        for hint in _kinds(kind, set()):
            arguments = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
            assert not (str in arguments and any(map(is_dataclass, arguments))), (kind, hint)
