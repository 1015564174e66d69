import json
import pickle
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from vqa_gs.features.store import RegionStore

from vqa_gs.cli import main


def read(file):
    return json.loads(file.read_text())


def write(file, content):
    file.write_text(json.dumps(content))
    return file


def write_fixed36(folder, ids, regions=4, dim=8, spoil=None):
    """Writes a public feature file with its index; ``spoil`` is (row, region) of a NaN."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(ids), regions, dim)).astype(np.float32)
    if spoil is not None:
        features[spoil] = np.nan
    with h5py.File(folder / "train36.hdf5", "w") as file:
        file["image_features"] = features
        file["image_bb"] = np.tile(np.array([2, 2, 10, 10], np.float32), (len(ids), regions, 1))
        file["spatial_features"] = np.tile(np.array([0.1, 0.1, 0.5, 0.5, 0.4, 0.4], np.float32), (len(ids), regions, 1))
    index = {int(image_id): row for row, image_id in enumerate(ids)}
    (folder / "train36_imgid2idx.pkl").write_bytes(pickle.dumps(index))
    return folder / "train36.hdf5"


def spoil_store(file, image):
    """Writes a NaN over the first number of an image of a float32 store, as a foreign program may have left it."""
    store = RegionStore(file)
    at = store._index.offset + int(store.counts(store.image_ids[: store.image_ids.index(image)]).sum()) * store.dim * 4
    with open(file, "r+b") as content:
        content.seek(at)
        content.write(np.float32(np.nan).tobytes())
    return file


def cut(file, share=0.5):
    """Cuts a file off, as an interrupted download does."""
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    return file


@pytest.fixture(scope="session")
def finished_run(tiny, tmp_path_factory):
    """A short finished run."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", "--config", tiny["file"], "--max-steps", "3", "--out", str(out)]) == 0
    return out


@pytest.fixture
def here(tiny, finished_run, tmp_path):
    """Copies of everything a command can be given, to be spoilt one by one."""
    folder = tmp_path / "in"
    shutil.copytree(finished_run, folder / "run")
    paths = {name: folder / f"{name}.json" for name in ("questions", "annotations", "results")}
    for name in ("questions", "annotations"):
        shutil.copy(tiny["data"]["tests"]["ood_test"][name], paths[name])
        paths[f"train_{name}"] = folder / f"train_{name}.json"
        shutil.copy(tiny["data"]["train"][name], paths[f"train_{name}"])
    shutil.copy(folder / "run" / "predictions" / "ood_test.json", paths["results"])
    for name, file in (("store", tiny["data"]["features"]), ("pairs", tiny["data"]["pairs"][0])):
        paths[name] = folder / f"{name}.h5"
        shutil.copy(file, paths[name])
    out = tmp_path / "out"
    out.mkdir()
    return SimpleNamespace(config=tiny["file"], folder=folder, run=folder / "run", out=out / "made", **paths)


def new_cases():
    """Returns a dict of cases and a decorator that files functions in it.

    A case spoils something and returns the words of a command; the decorator is given what its error has to name.
    """
    cases = {}

    def case(*expected):
        def add(function):
            cases[function.__name__] = (function, expected)
            return function

        return add

    return cases, case


def assert_refused(here, capfd, spoil, expected):
    """Runs the words of a case: exit code 2, one line that names what it has to, nothing made or left behind."""
    words = spoil(here)
    folder = here.out.parent if here.out.parent.is_dir() else here.run
    before = sorted(str(path) for path in folder.rglob("*"))
    capfd.readouterr()
    assert main(words) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("vqa-gs: ")
    for text in expected:
        assert text in error, error
    assert sorted(str(path) for path in folder.rglob("*")) == before


def build_pairs(here, *more):
    words = ["pairs", "build", "--kind", "same-question", "--questions", str(here.train_questions)]
    return [
        *words,
        "--annotations",
        str(here.train_annotations),
        "--features",
        str(here.store),
        "--out",
        str(here.out),
        *more,
    ]


def predict(here, *more):
    words = ["predict", "--run", str(here.run), "--questions", str(here.questions), "--features", str(here.store)]
    return [*words, "--out", str(here.out), *more]
