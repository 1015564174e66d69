from __future__ import annotations

import pytest
from vqa_gs.features.ids import coco_id, id_of_text, name_of_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("391895", 391895),
        ("0", 0),
        ("007", "007"),
        ("-3", "-3"),
        ("1.0", "1.0"),
        ("٣", "٣"),
        ("n578978", "n578978"),
        ("COCO_train2014_000000132417", 132417),
        ("train2014/COCO_train2014_000000132417.jpg", 132417),
        ("COCO_test2015_000000000001", 1),
        ("000000000139", 139),
        ("000000000139_000000000017", "000000000139_000000000017"),
        ("12345678901234567890", "12345678901234567890"),
        ("", ""),
    ],
)
def test_ids_of_text(text, expected):
    found = id_of_text(text)
    assert (type(found), found) == (type(expected), expected)


def test_names():
    assert name_of_file("a/b/c.JPG") == "c"
    assert name_of_file(r"a\b\c.d.png") == "c.d"
    assert name_of_file("COCO_val2014_000000000042") == "COCO_val2014_000000000042"
    assert coco_id("COCO_val2014_42") is None
