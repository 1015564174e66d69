import os
import pickle
import resource
import struct

import numpy as np
import pytest

from tests.vqa_gs.common.pickled import ATTACKS
from vqa_gs.common import pickles
from vqa_gs.common.errors import DataError
from vqa_gs.common.pickles import load_pickle, parse_pickle


def test_plain_data_and_arrays_come_back(tmp_path):
    value = {1: "a", "b": [1.5, None, (2, 3)], "s": {4, 5}, "n": np.arange(3)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
        read = load_pickle(tmp_path / "x.pkl")
        assert read["n"].tolist() == [0, 1, 2]
        assert {key: read[key] for key in (1, "b", "s")} == {key: value[key] for key in (1, "b", "s")}


class _Evil:
    def __reduce__(self):
        return os.system, ("touch should-not-exist",)


def test_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(DataError, match="not allowed"):
        load_pickle(tmp_path / "x.pkl")
    assert not (tmp_path / "should-not-exist").exists()


def test_huge_memo_index_is_refused_before_it_allocates(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".")
    with pytest.raises(DataError, match="far more than its size"):
        load_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps([1, 2])[:-3]])
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_pickle(tmp_path / "x.pkl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_one_line_and_leaves_nothing_behind(tmp_path, name):
    (tmp_path / "x.pkl").write_bytes(ATTACKS[name])
    with pytest.raises(DataError) as caught:
        load_pickle(tmp_path / "x.pkl")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    (tmp_path / "y.pkl").write_bytes(pickle.dumps({1: b"\xff", 2: np.arange(2)}, 2))
    assert load_pickle(tmp_path / "y.pkl")[1] == b"\xff"


def test_the_helper_stays_below_its_limit_of_memory():
    # What it may take is limited by the system, so that a way that nobody thought of ends there too.
    with pytest.raises(Exception, match="far more than its size"):
        parse_pickle(b"(" + b"\x8f" * 3_200_000 + b"l.")
    process = pickles._HELPER._process
    assert resource.prlimit(process.pid, resource.RLIMIT_AS)[0] < 2 << 30


def test_arrays_of_all_kinds_come_back_as_they_were():
    values = {
        "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array(["aä", "b"]),
        "bytes": np.array([b"ab"]),
        "objects": np.array([1, "x", None], dtype=object),
        "one object": np.array({"k": 1}, dtype=object),
        "none": np.zeros((0, 3), np.float16),
        "number": np.float32(2.5),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        read = parse_pickle(pickle.dumps(values, protocol))
        for name, value in values.items():
            assert type(read[name]) is type(value)
            assert read[name].dtype == value.dtype
            assert read[name].shape == value.shape
            assert (read[name] == value).all()


def test_other_values_come_back_as_they_were():
    value = [-(10**30), b"\xff\0", b"", bytearray(b"x"), 1 + 2j, frozenset([1]), {np.int64(4): (), (1, "a"): {2}}]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert parse_pickle(pickle.dumps(value, protocol)) == value


def test_a_lost_helper_is_replaced():
    parse_pickle(pickle.dumps(1))
    helper = pickles._HELPER._process
    helper.kill()
    helper.wait()
    assert parse_pickle(pickle.dumps(2)) == 2
