from __future__ import annotations

import os

import pytest
from vqa_gs.features.extract.listing import list_images
from vqa_gs.features.naming import read_mapping

from vqa_gs.common.errors import DataError, UsageError


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def listed(images, ids="auto"):
    return [(image_id, path.name) for image_id, path, _ in list_images(images, ids)]


def test_ids_come_from_names(tmp_path):
    names = ("val2014/COCO_val2014_000000000042.jpg", "b/000000000007.PNG", "b/12.jpeg")
    folder = made(tmp_path, *names, "b/notes.txt", "b/.hidden.jpg")
    assert listed(folder) == [(7, "000000000007.PNG"), (12, "12.jpeg"), (42, "COCO_val2014_000000000042.jpg")]
    assert [i for i, _ in listed(folder, "text")] == ["000000000007", "12", "COCO_val2014_000000000042"]


def test_the_number_at_the_end_of_a_name(tmp_path):
    folder = made(tmp_path, "synpic54610.jpg", "a/scan-7.png", "2.gif")
    assert listed(folder, "number") == [(2, "2.gif"), (7, "scan-7.png"), (54610, "synpic54610.jpg")]
    made(tmp_path, "b.jpg")
    with pytest.raises(DataError, match=r"b\.jpg: the name does not end in a number"):
        list_images(folder, "number")


def test_any_alphabet(tmp_path):
    folder = made(tmp_path, "größe 1.jpg", "猫.png", "a\nb.gif")
    assert {i for i, _ in listed(folder)} == {"größe 1", "猫", "a\nb"}


def test_a_list_keeps_its_order(tmp_path):
    made(tmp_path, "x/b.jpg", "a.jpg")
    (tmp_path / "list.txt").write_text(f"x/b.jpg\n\n{tmp_path / 'a.jpg'}\nabsent.jpg\n")
    items = list_images(tmp_path / "list.txt")
    assert [i for i, _, _ in items] == ["b", "a", "absent"]
    assert items[0][1] == tmp_path / "x/b.jpg"


def test_a_mapping_names_ids_and_leaves_the_rest_out(tmp_path):
    folder = made(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "ids.json").write_text('{"a.jpg": 5, "b.jpg": 3, "z.jpg": 9}')
    (tmp_path / "ids.csv").write_text("name,image_id\na.jpg,5\nb.jpg,3\n")
    for name in ("ids.json", "ids.csv"):
        assert listed(folder, str(tmp_path / name)) == [(5, "a.jpg"), (3, "b.jpg")]
    (tmp_path / "none.json").write_text('{"q.jpg": 5}')
    with pytest.raises(DataError, match=r"none\.json: names none of the images"):
        list_images(folder, str(tmp_path / "none.json"))
    for name, content in (("x.json", "[1]"), ("x.json", '{"a": 1.5}'), ("y.csv", "a.jpg\n"), ("z.json", "\xff")):
        (tmp_path / name).write_text(content, encoding="latin1")
        with pytest.raises(DataError, match=f"{name}: not a mapping"):
            read_mapping(tmp_path / name)


def test_what_cannot_be_listed_says_why(tmp_path):
    with pytest.raises(DataError, match="no such folder of images, and no list"):
        list_images(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no images"):
        list_images(made(tmp_path / "empty", "x.txt"))
    with pytest.raises(DataError, match=r"b\.png: b: has the same image id as .*b\.jpg"):
        list_images(made(tmp_path / "twice", "b.jpg", "b.png"))
    with pytest.raises(UsageError, match=r"some image ids are numbers \(3\) and some text \(b\)"):
        list_images(made(tmp_path / "mixed", "3.jpg", "b.png"))
    (tmp_path / "l.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"l\.txt: not a list of images"):
        list_images(tmp_path / "l.txt")


def test_a_name_that_is_no_text_is_named(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match="not UTF-8"):
        list_images(tmp_path)


def test_a_pipe_is_no_picture(tmp_path):
    made(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "2.jpg")
    assert [image_id for image_id, _, _ in list_images(tmp_path)] == [1]
