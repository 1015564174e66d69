from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
from vqa_gs.features.convert import convert
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.butd_hdf5 import find_index
from vqa_gs.features.reading.sizes import image_size
from vqa_gs.features.recognise import detect_format

from vqa_gs.common.errors import DataError


def test_formats_are_found_by_their_files(make_fixed36, make_adaptive, make_store):
    assert {"hdf5-adaptive", "hdf5-36"} <= set(FORMATS)
    fixed, adaptive = make_fixed36()[0], make_adaptive()[0]
    assert detect_format(fixed) == "hdf5-36"
    assert detect_format(adaptive) == "hdf5-adaptive"
    for name in FORMATS:
        assert not FORMATS[name].detect(make_store()[0])
        assert not FORMATS[name].detect(fixed.with_name("absent"))


@pytest.mark.parametrize("suffix", ["_imgid2idx.pkl", "_imgid2img.pkl"])
def test_both_names_of_the_index(make_fixed36, suffix):
    path, content = make_fixed36(suffix=suffix)
    assert find_index(path).name == f"train36{suffix}"
    source = FORMATS["hdf5-36"].open(path)
    assert [image.image_id for image in source] == list(content)
    assert source.files == (path, find_index(path))
    source.close()


def test_missing_index_says_what_to_put_where(make_fixed36):
    path, _ = make_fixed36()
    find_index(path).unlink()
    with pytest.raises(DataError, match=r"train36\.hdf5: .*put train36_imgid2idx\.pkl or train36_imgid2img\.pkl"):
        FORMATS["hdf5-36"].open(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({9: 0, 25: 3}, r"image 25: points to row 3, the feature file has 3"),
        ({9: 0, 25: -1}, r"image 25: points to row -1"),
        ({9: 0, 25: 0}, r"image 25: points to row 0, as image 9 does"),
        ({9: "0"}, r"image 9: a row number was expected"),
        ({9: True}, r"image 9: a row number was expected"),
        ({1.5: 0}, r"an image id is an int or a str, not float"),
        ({}, r"expected a dictionary"),
        ([9, 25], r"expected a dictionary of image ids, found list"),
    ],
)
def test_wrong_indices_name_file_and_image(make_fixed36, make_adaptive, table, message):
    for path, _ in (make_fixed36(), make_adaptive()):
        find_index(path).write_bytes(pickle.dumps(table))
        with pytest.raises(DataError, match=rf"_imgid2idx\.pkl: .*{message}"):
            list(FORMATS[detect_format(path)].open(path))


def test_rows_nobody_points_to_are_left_out(make_fixed36):
    path, content = make_fixed36()
    find_index(path).write_bytes(pickle.dumps({30: 2, 9: 0}))
    images = list(FORMATS["hdf5-36"].open(path))
    assert [(image.image_id, image.record) for image in images] == [(9, "row 0"), (30, "row 2")]
    assert (images[1].features == content[30][0]).all()


def test_spans_outside_the_file_are_named(make_adaptive, tmp_path):
    path, _ = make_adaptive()
    for span in ([3, 9], [-1, 2], [4, 4], [5, 4]):
        with h5py.File(path, "r+") as file:
            before = file["pos_boxes"][1]
            file["pos_boxes"][1] = span
        with pytest.raises(DataError, match=r"val\.hdf5: row 1, image 2: pos_boxes says"):
            convert(path, tmp_path / "x.h5")
        with h5py.File(path, "r+") as file:
            file["pos_boxes"][1] = before


@pytest.mark.parametrize("name", ["image_bb", "spatial_features"])
def test_side_tables_of_another_shape(make_adaptive, name):
    path, _ = make_adaptive()
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = np.zeros((3, 6), np.float32)
    with pytest.raises(DataError, match=rf"{name} of shape \(3, 6\) does not fit"):
        FORMATS["hdf5-adaptive"].open(path)


def test_boxes_and_fractions_that_contradict(make_adaptive):
    path, _ = make_adaptive()
    with h5py.File(path, "r+") as file:
        file["spatial_features"][0, 2] *= 3
    with pytest.raises(DataError, match=r"row 0, image 5: image_bb and spatial_features contradict"):
        list(FORMATS["hdf5-adaptive"].open(path))


def test_features_alone_get_placeholders_and_a_note(make_fixed36):
    path, content = make_fixed36(with_boxes=False)
    source = FORMATS["hdf5-36"].open(path)
    images = list(source)
    assert "no boxes" in source.notes[0]
    assert images[0].size == (1, 1)
    assert images[0].boxes.tolist() == [[0, 0, 1, 1]] * 4
    assert (images[2].features == content[30][0]).all()


def test_without_fractions_the_farthest_corner_is_the_size(make_adaptive):
    path, content = make_adaptive()
    with h5py.File(path, "r+") as file:
        del file["spatial_features"]
    source = FORMATS["hdf5-adaptive"].open(path)
    assert "farthest corner" in source.notes[0]
    for image in source:
        corner = np.ceil(content[image.image_id][1][:, 2:].max(0))
        assert image.size == tuple(corner.astype(int).tolist())


def test_sizes_are_recovered_exactly():
    rng = np.random.default_rng(0)
    for _ in range(300):
        w, h = rng.integers(1, 5000, 2)
        boxes = (np.sort(rng.random((5, 2, 2)), 1) * (w, h)).reshape(5, 4).astype(np.float32)
        spatial = (boxes / np.array([w, h, w, h], np.float32)).astype(np.float32)
        spatial = np.concatenate([spatial, spatial[:, 2:] - spatial[:, :2]], 1)
        assert image_size(boxes, spatial) == (w, h)


def test_sizes_of_the_other_spatial_columns():
    boxes = np.array([[0, 0, 10, 20]], np.float32)
    spatial = np.array([[0, 0, 10, 20, 0, 480, 640]], np.float32)
    assert image_size(boxes, spatial) == (640, 480)
    assert image_size(boxes, np.zeros((1, 6), np.float32)) == (10, 20)
    assert image_size(boxes, None) == (10, 20)
