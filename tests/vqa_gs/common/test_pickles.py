import os
import pickle
import struct

import numpy as np
import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.common.pickles import load_pickle


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
    with pytest.raises(DataError, match="memo index"):
        load_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps([1, 2])[:-3]])
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_pickle(tmp_path / "x.pkl")
    assert "\n" not in str(caught.value)
