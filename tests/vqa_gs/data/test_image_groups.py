import json

import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.data.image_groups import group_of, read_image_groups, write_image_groups


def test_written_groups_are_read_back(tmp_path):
    write_image_groups(tmp_path / "g.json", [[3, 1], ["a", 2, 5]])
    groups = read_image_groups(tmp_path / "g.json")
    assert groups == {3: 3, 1: 3, "a": "a", 2: "a", 5: "a"}
    assert group_of([1, 9, 5, "3"], groups) == [3, 9, "a", "3"]
    assert group_of([1, 2], None) == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([[1, 2], [2, 3]], "group 1: image 2 is there twice"),
        ([1, 2], "not a list of lists of image ids"),
        ({"groups": []}, "not a list of lists of image ids"),
    ],
)
def test_refused(tmp_path, content, message):
    (tmp_path / "g.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_image_groups(tmp_path / "g.json")
