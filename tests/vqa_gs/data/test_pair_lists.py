import hashlib

import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.data.pair_lists import read_pair_list


@pytest.mark.parametrize("packed", [False, True])
def test_pairs_and_objects(write, packed):
    path = write([[1, 2], ["a", 3], {"original": 4, "edited": "b", "note": ""}], packed=packed)
    assert read_pair_list(path) == ([(1, 2), ("a", 3), (4, "b")], hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no pairs"),
        ([[1, 2, 3]], "row 0: not a pair"),
        ([[1, 2], [4, 4]], "row 1: .*paired with itself"),
        ({"pairs": []}, "not a list of pairs"),
    ],
)
def test_refused(write, content, message):
    with pytest.raises(DataError, match=message):
        read_pair_list(write(content))
