import numpy as np
import pytest
from PIL import Image

from tests.chromium import start


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all browser tests."""
    chrome = start(tmp_path_factory.mktemp("profile"))
    yield chrome
    chrome.quit()


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
