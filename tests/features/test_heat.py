import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.heat import brightness, draw_heat


def test_brightness_is_the_weight_over_the_root_of_the_area_added_up():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 4, 1]], np.float32)
    heat = brightness(boxes, np.array([4.0, 1.0]), (6, 5))
    expected = np.zeros((5, 6))
    expected[:4, :4] = 4 / 4
    expected[0, 2:4] += 1 / np.sqrt(2)
    np.testing.assert_allclose(heat, expected / expected.max())


def test_boxes_outside_and_weights_of_zero_give_no_light():
    heat = brightness(np.array([[-9, -9, -3, -3], [1, 1, 2, 2]], np.float32), np.array([0.0, 0.0]), (4, 3))
    assert heat.shape == (3, 4)
    assert not heat.any()


@pytest.mark.parametrize("size", [(3, 40), (40, 3), (900, 500)])
def test_pictures_of_any_shape_and_words_of_any_length(size):
    boxes = np.array([[0, 0, *size], [0, 0, 2, 2], [1, 1, 1, 1]], np.float32)
    weights = {"attention": np.array([0.5, 0.3, 0.2]), "gradient": np.zeros(3)}
    drawn = draw_heat(
        Image.new("RGB", size, (200, 90, 10)), boxes, weights, "why " * 90, [("x" * 300, 1.0), ("é", 0.0)]
    )
    assert drawn.width == 2 * 480 + 3 * 16
    colours = {colour for _, colour in drawn.getcolors(1 << 20)}
    assert (200, 90, 10) in colours  # the panel without weights is left as it is
