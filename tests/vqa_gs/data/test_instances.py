from __future__ import annotations

import json

import numpy as np
import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.data.edited import removed_from
from vqa_gs.data.instances import read_edited_images, read_labelled_images, unseen


def coco():
    """Four images: a cat and a dog, a crowd of dogs, nothing, two cats. Ids have gaps, as COCO's have."""
    box = {"bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0, "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]]}
    crowd = {"bbox": [0, 0, 4, 4], "area": 9, "iscrowd": 1, "segmentation": {"size": [8, 8], "counts": [0, 9, 55]}}
    return {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 8, "height": 8} for number in (7, 5, 9, 12)],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, **box},
            {"id": 2, "image_id": 7, "category_id": 3, **box},
            {"id": 3, "image_id": 5, "category_id": 18, **crowd},
            {"id": 4, "image_id": 12, "category_id": 3, **box},
            {"id": 5, "image_id": 12, "category_id": 3, **box},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 20, "name": "cow"}],
    }


def written(folder, content, name="instances.json"):
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_label_vectors(tmp_path, capsys):
    found = read_labelled_images(written(tmp_path, coco()))
    assert capsys.readouterr().out == ""  # pycocotools talks
    assert found.categories == {3: "cat", 18: "dog", 20: "cow"}  # columns by rising id
    assert found.image_ids == [7, 5, 9, 12]
    assert found.labels.astype(int).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_file_with_fewer_categories_keeps_to_the_training_columns(tmp_path):
    content = coco()
    content["categories"] = content["categories"][:2]
    found = read_labelled_images(written(tmp_path, content), {3: "cat", 18: "dog", 20: "cow"})
    assert found.labels.shape == (4, 3)
    assert found.labels[:, 2].sum() == 0


def damage(**parts):
    content = coco()
    for name, change in parts.items():
        change(content[name])
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (damage(annotations=lambda rows: rows[1].update(image_id=8)), "annotation 2: is of image 8"),
        (damage(annotations=lambda rows: rows[2].update(category_id=4)), "annotation 3: is of category 4"),
        (
            damage(annotations=lambda rows: rows[2].pop("category_id")),
            "annotations, row 2: .* usable category_id",
        ),
        (
            damage(annotations=lambda rows: rows[0].pop("image_id")),
            "annotations, row 0: .* usable image_id",
        ),
        (damage(images=lambda rows: rows[1].update(id=7)), "image 7: stands twice"),
        (damage(images=lambda rows: rows[1].update(id=[5])), "images, row 1: a record without a usable id"),
        (damage(images=lambda rows: rows.clear()), "has no images"),
        (damage(categories=lambda rows: rows[0].update(id=3)), "category 3: the category 'cat' or its id stands twice"),
        (damage(categories=lambda rows: rows[0].pop("name")), "row 0: a category needs"),
        (damage(categories=lambda rows: rows.clear()), "has no categories"),
        ([], "COCO instances file"),
        ({"images": []}, "not a COCO instances file"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, content, message):
    file = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        read_labelled_images(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_categories_than_training_are_refused(tmp_path):
    with pytest.raises(DataError, match="category 20: the training file has 'horse' under this id, not 'cow'"):
        read_labelled_images(written(tmp_path, coco()), {3: "cat", 18: "dog", 20: "horse"})


def test_edited_images_lose_the_category_their_id_names(tmp_path):
    originals = read_labelled_images(written(tmp_path, coco()))
    pairs = [[7, "000000000007_000000000018"], [7, "000000000007_000000000003"], [12, "000000000012_000000000003"]]
    found = read_edited_images(written(tmp_path, pairs, "pairs.json"), [originals])
    assert found.image_ids == [edited for _, edited in pairs]
    assert found.labels.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert removed_from("000000000007_000000000018") == (7, 18)
    assert removed_from("7_18") is None
    assert removed_from(7) is None


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[7, 8]], "row 0: image 8 does not say what was removed"),
        ([[5, "000000000007_000000000018"]], "does not say what was removed from 5"),
        ([[8, "000000000008_000000000018"]], "row 0: image 8 has no instances"),
        ([[5, "000000000005_000000000003"]], "image 5 has nothing of category 3 to remove"),
        ([[7, "000000000007_000000000018"]] * 2, "row 1: image '000000000007_000000000018' stands twice"),
    ],
)
def test_edits_that_cannot_be(tmp_path, pairs, message):
    originals = read_labelled_images(written(tmp_path, coco()))
    with pytest.raises(DataError, match=message):
        read_edited_images(written(tmp_path, pairs, "pairs.json"), [originals])


def test_unseen_combinations():
    seen = [np.array([[1, 1, 0], [0, 0, 0]], bool), np.array([[1, 0, 0]], bool)]
    asked = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    assert unseen(asked, seen).tolist() == [False, False, True, True, False]
