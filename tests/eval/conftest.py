import pytest

from .chromium import start


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all browser tests."""
    chrome = start(tmp_path_factory.mktemp("profile"))
    yield chrome
    chrome.quit()
