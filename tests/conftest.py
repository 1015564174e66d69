from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.convert import convert

from tests.chromium import start
from tests.processes import Processes
from vqa_gs.common import phases


@pytest.fixture(scope="session", autouse=True)
def no_phase_takes_long():
    """On a busy machine anything may take five seconds; what is told then would be taken for a part of errors."""
    patch = pytest.MonkeyPatch()
    patch.setattr(phases, "_FIRST", 1000.0)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all browser tests."""
    chrome = start(tmp_path_factory.mktemp("profile"))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """Starts programs, the command line most often, in processes of their own that have imported everything."""
    started = Processes(tmp_path_factory.mktemp("said"))
    yield started
    started.close()


@pytest.fixture
def noise_pictures(tmp_path):
    """Returns a function that fills the folder `images` with pictures of noise, their sides from low to high."""

    def make(names, low, high):
        folder = tmp_path / "images"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for name in names:
            height, width = rng.integers(low, high, 2)
            Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)
        return folder

    return make


@pytest.fixture(scope="session")
def mini():
    """The folder of vqa2-mini, real questions and objects; skips where it is not there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "vqa2-mini"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def mini_store(mini, tmp_path_factory):
    """The region store of vqa2-mini, converted once."""
    path = tmp_path_factory.mktemp("mini") / "mini.h5"
    convert(mini / "regions.hdf5", path)
    return path
