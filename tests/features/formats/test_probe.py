from __future__ import annotations

import os
import resource
import signal
import time

import h5py
import numpy as np
import pytest
from vqa_gs.features.reading import probe, probe_process
from vqa_gs.features.reading.probe import look

from vqa_gs.common.errors import DataError
from vqa_gs.common.helper_process import HelperLost


def _file(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["image_features"] = np.ones((2, 3), np.float32)
        file.create_dataset("chunked", data=np.ones((5, 4)), chunks=(2, 2))
        file["text"] = "text"
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
        file.create_group("group")
        file.attrs["format"] = "some"
    return path


def test_what_a_file_holds(tmp_path):
    facts = look(_file(tmp_path))
    assert facts.format == "some"
    assert facts.datasets == {"image_features": (2, 3), "chunked": (5, 4)}


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    path = _file(tmp_path)
    look(path)
    with h5py.File(path, "r+") as file:
        del file["chunked"]
    assert "chunked" not in look(path).datasets


def test_what_is_no_hdf5(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not an HDF5 file"):
        look(path)
    with pytest.raises(DataError, match="no such feature file"):
        look(tmp_path / "absent")
    path.write_bytes(probe.HDF5_SIGNATURE + b"garbage")
    with pytest.raises(DataError, match="damaged or truncated: OSError"):
        look(path)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (lambda path: time.sleep(60), "did not find its way in 0.2 s"),
        (lambda path: os.kill(os.getpid(), signal.SIGKILL), "crashed"),
        (lambda path: bytearray(1 << 50), "MemoryError"),
        (lambda path: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_libraries_that_hang_or_crash_are_an_error(monkeypatch, behaviour, message):
    monkeypatch.setattr(probe_process, "describe", behaviour)
    assert message in probe_process._answer_in_fork("x", 0.2).decode()


def test_a_library_that_searches_for_ever_gets_seconds_of_a_processor(monkeypatch):
    def search(path):
        while True:
            pass

    monkeypatch.setattr(probe_process, "describe", search)
    monkeypatch.setattr(probe_process, "_CPU_SECONDS", 1)
    assert "did not find its way in 1 s of a processor" in probe_process._answer_in_fork("x", 60).decode()


def test_a_lost_helper_is_replaced(tmp_path):
    path = _file(tmp_path)
    look(path)
    helper = probe._HELPER._process
    helper.kill()
    helper.wait()
    os.utime(path)  # what was seen of an unchanged file is known
    assert look(path).format == "some"
    assert probe._HELPER._process is not helper


def test_a_file_is_looked_at_again_when_it_changed(tmp_path, monkeypatch):
    asked = []
    ask = probe._HELPER.ask
    monkeypatch.setattr(probe._HELPER, "ask", lambda request: asked.append(request) or ask(request))
    path = _file(tmp_path)
    assert look(path) == look(path)
    assert len(asked) == 1
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "another"
    assert look(path).format == "another"
    assert len(asked) == 2


def test_that_the_helper_was_lost_is_not_kept(tmp_path, monkeypatch):
    path = _file(tmp_path)

    def lost(request):
        raise HelperLost("it ended")

    with monkeypatch.context() as patched:
        patched.setattr(probe._HELPER, "ask", lost)
        with pytest.raises(DataError, match="it ended"):
            look(path)
    assert look(path).format == "some"


def test_a_limit_that_is_tighter_than_the_helpers_own(tmp_path):
    path = _file(tmp_path)
    child = os.fork()
    if child == 0:
        limit = 6 << 30
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os._exit(0 if look(path).format == "some" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
