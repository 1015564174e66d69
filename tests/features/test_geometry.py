from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from vqa_gs.features.geometry import (
    box_area,
    box_intersection,
    box_iou,
    grid_boxes,
    grid_shape,
    normalized_boxes,
)

COORDINATES = st.floats(-50, 700, width=32)
BOXES = hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=COORDINATES)


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height


@given(BOXES, BOXES)
def test_overlaps_agree_with_one_pair_at_a_time_and_with_torch(a, b):
    common = box_intersection(a.astype(np.float64), b.astype(np.float64))
    assert common.shape == (len(a), len(b))
    for i, one in enumerate(a.astype(np.float64)):
        for j, other in enumerate(b.astype(np.float64)):
            assert common[i, j] == pytest.approx(overlap(one, other))
    for function in (box_intersection, box_iou):
        expected = function(a, b)
        got = function(torch.from_numpy(a), torch.from_numpy(b))
        assert isinstance(expected, np.ndarray)
        assert np.allclose(expected, got.numpy(), rtol=1e-5, atol=1e-5)
    assert np.isfinite(box_iou(a, b)).all()


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert np.allclose(box_iou(a, b), [[1, 1 / 3, 0], [0, 0, 0]])
    assert box_area(a).tolist() == [100, 0]
    assert box_area(np.array([[5, 5, 1, 1]], np.float32)).tolist() == [0]


def test_normalized_boxes_are_the_six_spatial_columns():
    boxes = np.array([[10, 20, 50, 100]], np.float32)
    sizes = np.array([100, 200], np.int32)
    expected = [[0.1, 0.1, 0.5, 0.5, 0.4, 0.4]]
    assert np.allclose(normalized_boxes(boxes, sizes), expected)
    assert normalized_boxes(boxes, sizes).dtype == np.float32
    batch = normalized_boxes(torch.from_numpy(boxes)[None].repeat(3, 1, 1), torch.tensor([[100.0, 200.0]] * 3))
    assert batch.shape == (3, 1, 6)
    assert torch.allclose(batch, torch.tensor(expected).expand(3, 1, 6))


def test_padding_of_size_zero_gives_zeros_not_nan():
    assert not normalized_boxes(torch.zeros(2, 3, 4), torch.zeros(2, 2)).any()
    assert not normalized_boxes(np.zeros((2, 3, 4)), np.zeros((2, 2))).any()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="boxes must have 4 numbers"):
        normalized_boxes(np.zeros((2, 5)), np.zeros(2))
    with pytest.raises(ValueError, match="sizes must have 2 numbers"):
        normalized_boxes(np.zeros((2, 4)), np.zeros(3))


def test_grid_boxes_cover_the_image():
    boxes = grid_boxes(90, 60, rows=2, columns=3)
    assert boxes.shape == (7, 4)
    assert boxes[0].tolist() == [0, 0, 90, 60]
    assert box_area(boxes[1:]).sum() == 90 * 60


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (3, 5), (7, 7)])
def test_the_shape_of_a_grid(rows, columns):
    boxes = grid_boxes(640, 480, rows, columns)
    assert grid_shape(boxes[1:]) == (rows, columns)
    assert grid_shape(np.concatenate([boxes[1:], boxes[:1]])) == (rows, columns)


def test_boxes_that_are_no_grid():
    boxes = grid_boxes(640, 480, 3, 5)[1:]
    for other in (boxes[:1], boxes[::-1], boxes[:-1], boxes * np.array([1, 1, 0.9, 1]), boxes[[1, 0, *range(2, 15)]]):
        assert grid_shape(np.asarray(other)) is None
