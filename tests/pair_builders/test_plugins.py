"""A builder, a selection and a source of evidence of the user's own: one file each, used by the command."""

import json
import os

import numpy as np
import pytest
from vqa_gs.pair_builders.evidence_source import EVIDENCE
from vqa_gs.pair_builders.part import Part
from vqa_gs.pair_builders.selection.cap import Settings
from vqa_gs.pair_builders.table import read_pair_table

from vqa_gs.cli import main

PLUGINS = {
    "builder": '''
from dataclasses import dataclass
import numpy as np
from vqa_gs.pair_builders.alignment.settings import Alignment
from vqa_gs.pair_builders.builder import pair_builder, table_of

@dataclass(frozen=True)
class Settings(Alignment):
    """Neighbours in the file.

    Args:
        step: how far apart.
    """
    step: int = 1

@pair_builder("my-kind", Settings)
def build(sources, settings, seed, progress=None):
    """Pairs questions so many places apart."""
    rows = np.arange(len(sources.questions) - settings.step)
    return table_of("my-kind", sources, settings, seed, rows, rows + settings.step)
''',
    "selection": '''
from dataclasses import dataclass
from vqa_gs.pair_builders.selection_rule import Chosen, selection

@dataclass(frozen=True)
class Settings:
    """Which pairs.

    Args:
        below: ids of end a below this.
    """
    below: int = 0

@selection("my-rule", Settings)
def choose(candidates, settings):
    """Keeps the first questions."""
    return Chosen(candidates.table.question_a < settings.below)
''',
    "evidence": '''
from dataclasses import dataclass
import numpy as np
from vqa_gs.pair_builders.evidence_source import Evidence, evidence

@dataclass(frozen=True)
class Settings:
    """Which region.

    Args:
        region: its number.
    """
    region: int = 0

@evidence("my-eyes", Settings)
def look(sources, settings):
    """One region of every image."""
    return (Evidence(row, [np.array([settings.region])]) for row in range(len(sources.questions))), {}
''',
}


@pytest.fixture
def words(make_store, tmp_path):
    """The words that name four questions about images of three regions, and the table."""
    store = make_store({image: np.eye(3) * (1 + image) for image in range(4)})
    asked = [{"question_id": row, "image_id": row, "question": "Is it?"} for row in range(4)]
    answered = [
        {**{key: question[key] for key in ("question_id", "image_id")}, "question_type": "is it", "answer_type": "x",
         "multiple_choice_answer": "wxyz"[row], "answers": [{"answer": "wxyz"[row], "answer_id": 1}]}
        for row, question in enumerate(asked)
    ]  # fmt: skip
    (tmp_path / "q.json").write_text(json.dumps(asked))
    (tmp_path / "a.json").write_text(json.dumps(answered))
    files = f"--questions={tmp_path / 'q.json'} --annotations={tmp_path / 'a.json'} --features={store.path}"
    return [*files.split(), f"--out={tmp_path / 'p.h5'}"]


def test_a_file_each_is_enough(processes, words, tmp_path):
    files = {name: tmp_path / f"my_{name}.py" for name in PLUGINS}
    for name, file in files.items():
        file.write_text(PLUGINS[name])
    mine = "--kind=my-kind --my_kind.step=2 --my_kind.alignment=identity --select=my-rule --my_rule.below=1"
    mine += " --kind=masked --masked.evidence=my-eyes --my_eyes.region=2"
    plugins = os.pathsep.join(map(str, files.values()))
    done = processes.run("pairs", "build", *mine.split(), *words, VQA_GS_PLUGINS=plugins)
    assert done.returncode == 0, done.stderr
    table = read_pair_table(tmp_path / "p.h5")
    assert table.kinds == ("my-kind", "masked")
    assert list(zip(table.question_a, table.question_b, strict=True)) == [(0, 2), (0, 0)]
    assert table.mask_of(0) is None
    assert table.mask_of(1).tolist() == [True, True, False]
    assert table.settings["my-kind"]["step"] == 2
    assert table.settings["my-kind"]["selected"] == [{"rule": "my-rule", "below": 1, "of": 2, "kept": 1}]
    assert table.settings["masked"]["evidence_settings"] == {"region": 2}


def test_two_things_with_one_option_are_told(words, monkeypatch, capsys):
    EVIDENCE.names()
    monkeypatch.setitem(EVIDENCE._parts, "cap", Part("cap", Settings, None))
    assert main(["pairs", "build", "--kind=masked", *words]) == 2
    assert "--cap" in capsys.readouterr().err
