from __future__ import annotations

import h5py
import numpy as np
import pytest
from vqa_gs.features.convert import convert
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.recognise import detect_format
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError


@pytest.mark.parametrize("channel_first", [True, False])
@pytest.mark.parametrize("regions", [None, 4, 9])
def test_both_orientations_bit_by_bit(files, same, tmp_path, channel_first, regions):
    images = files.content((9, 25, 30), (3, 1, 4))
    source = files.write_padded(tmp_path / "x.hdf5", images, channel_first, regions)
    assert detect_format(source) == "hdf5-padded"
    assert convert(source, tmp_path / "out.h5").notes == []
    same(tmp_path / "out.h5", images)


def test_zero_vectors_between_regions_stay(files, same, tmp_path):
    images = files.content((1, 2), (5, 3))
    images[1]["features"][2] = 0
    convert(files.write_padded(tmp_path / "x.hdf5", images), tmp_path / "out.h5")
    same(tmp_path / "out.h5", images)


def test_without_boxes_the_longer_axis_is_the_channels(files, same, tmp_path):
    images = files.content((1, 2), (5, 3))
    for channel_first in (True, False):
        source = files.write_padded(tmp_path / "x.hdf5", images, channel_first)
        with h5py.File(source, "r+") as file:
            del file["boxes"]
        assert "no boxes" in convert(source, tmp_path / "out.h5").notes[0]
        same(tmp_path / "out.h5", images, with_boxes=False)


def test_without_sizes_the_farthest_corner_is_the_size(files, tmp_path):
    images = files.content((1,), (5,))
    source = files.write_padded(tmp_path / "x.hdf5", images)
    with h5py.File(source, "r+") as file:
        del file["widths"]
    assert "no image sizes" in convert(source, tmp_path / "out.h5").notes[0]
    corner = np.ceil(images[1]["boxes"][:, 2:].max(0)).tolist()
    assert RegionStore(tmp_path / "out.h5")[1].size.tolist() == corner


def test_damaged_rows_are_named_and_may_be_skipped(files, same, tmp_path):
    images = files.content((1, 2, 3), (5, 3, 4))
    source = files.write_padded(tmp_path / "x.hdf5", images)
    with h5py.File(source, "r+") as file:
        file["features"][1] = 0
    with pytest.raises(DataError, match=r"x\.hdf5: row 1, image 2: has no regions"):
        convert(source, tmp_path / "out.h5")
    with h5py.File(source, "r+") as file:
        file["features"][1, 2, 0] = np.inf
        file["boxes"][1, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"x\.hdf5: row 1, image 2: a box holds NaN"):
        convert(source, tmp_path / "out.h5")
    assert len(convert(source, tmp_path / "out.h5", on_error="skip").skipped) == 1
    del images[2]
    same(tmp_path / "out.h5", images)


@pytest.mark.parametrize("name", ["boxes", "ids", "widths"])
def test_tables_that_do_not_fit(files, tmp_path, name):
    source = files.write_padded(tmp_path / "x.hdf5", files.content((1, 2), (5, 3)))
    with h5py.File(source, "r+") as file:
        kind = file[name].dtype
        del file[name]
        file[name] = np.zeros((2, 3) if name == "boxes" else 3, kind)
    with pytest.raises(DataError, match=f"{name} of shape"):
        FORMATS["hdf5-padded"].open(source)
