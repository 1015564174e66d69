from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.extract.images import load_image

from vqa_gs.common.errors import DataError

PIXELS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[9, 9, 9], [0, 0, 0]]], np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return np.asarray(load_image(path))


def test_rgb_is_read_as_it_is(tmp_path):
    assert (saved(tmp_path / "a.png", Image.fromarray(PIXELS)) == PIXELS).all()
    assert (saved(tmp_path / "a.bmp", Image.fromarray(PIXELS)) == PIXELS).all()


@pytest.mark.parametrize(("orientation", "turned"), [(1, PIXELS), (3, PIXELS[::-1, ::-1]), (6, np.rot90(PIXELS, -1))])
def test_exif_orientation_is_applied(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = saved(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif)
    assert found.shape == turned.shape
    assert (found == turned).all()


def test_grey_cmyk_palette_and_transparency_become_rgb(tmp_path):
    grey = np.array([[0, 128, 255]], np.uint8)
    assert (saved(tmp_path / "g.png", Image.fromarray(grey)) == grey[..., None]).all()
    deep = Image.fromarray(np.array([[0, 128 * 257, 65535]], np.uint16))
    assert (saved(tmp_path / "d.png", deep) == grey[..., None]).all()
    cmyk = saved(tmp_path / "c.tif", Image.fromarray(PIXELS).convert("CMYK"))
    assert np.abs(cmyk.astype(int) - PIXELS).max() <= 2
    assert (saved(tmp_path / "p.png", Image.fromarray(PIXELS).convert("P", palette=1)) == PIXELS).all()
    clear = np.concatenate([PIXELS, np.zeros((3, 2, 1), np.uint8)], 2)
    assert (saved(tmp_path / "t.png", Image.fromarray(clear)) == 255).all()
    assert saved(tmp_path / "b.png", Image.fromarray(PIXELS).convert("1")).shape == (3, 2, 3)


def test_broken_files_are_one_line(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.jpg: not a readable image") as caught:
            load_image(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such image file"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(DataError, match="is a folder"):
        load_image(tmp_path)


def test_real_photographs(shared_data):
    for path in sorted(shared_data("butd-10/images").iterdir())[:3]:
        image = load_image(path)
        assert image.mode == "RGB"
        assert min(image.size) > 100
