import gzip
import json
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data():
    """The folder of real data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("shared/data is absent")
    return SHARED


@pytest.fixture
def write(tmp_path):
    """Writes JSON, or bytes as they are, and returns the path."""

    def write(content, name="file.json", packed=False):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if packed else data)
        return path

    return write
