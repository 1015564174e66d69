"""What is made up where a source does not say: the boxes and the sizes of images."""

from __future__ import annotations

import numpy as np

NO_BOXES = "no boxes: every region gets the box 0, 0, 1, 1 of an image of size 1 x 1"
NO_SIZES = "no image sizes: an image's size is the farthest corner of its boxes"


def placeholder_boxes(regions: int) -> np.ndarray:
    """Returns (R, 4) boxes that cover an image of size 1 x 1."""
    return np.tile(np.array([0, 0, 1, 1], np.float32), (regions, 1))


def corner_size(boxes: np.ndarray) -> tuple[int, int]:
    """Returns the farthest corner of boxes (R, 4), rounded up: at most the image's true width and height."""
    if len(boxes) == 0:
        return 1, 1
    width, height = np.ceil(boxes[:, 2:].max(0))
    return max(1, int(width)), max(1, int(height))


def image_size(boxes: np.ndarray, spatial: np.ndarray | None) -> tuple[int, int] | None:
    """Returns an image's width and height, recovered from its boxes in pixels and as fractions.

    Args:
        boxes: (R, 4) pixels, finite.
        spatial: (R, 4 to 6), ``x1/w, y1/h, x2/w, y2/h, (x2-x1)/w, (y2-y1)/h``, or (R, 7 or more) whose columns 5
            and 6 are the height and the width; None if the source has none.

    Returns:
        (width, height); without usable ``spatial`` the farthest corner; None where boxes and fractions contradict
        each other.
    """
    if spatial is None or spatial.shape[-1] < 4 or len(boxes) == 0:
        return corner_size(boxes)
    if spatial.shape[-1] >= 7:
        height, width = (round(float(value)) for value in spatial[0, 5:7])
        return (width, height) if width >= 1 and height >= 1 else None
    boxes, spatial = boxes.astype(np.float64), spatial.astype(np.float64)
    sides = []
    for axis in (2, 3):
        # The farthest edge loses least to rounding.
        edge = int(np.argmax(boxes[:, axis]))
        fraction = float(spatial[edge, axis])
        if not fraction > 0:
            return corner_size(boxes)
        side = float(boxes[edge, axis]) / fraction
        if not 0.5 <= side < 2**31 or np.abs(spatial[:, axis] * side - boxes[:, axis]).max() > 1e-3 * side + 0.5:
            return None
        sides.append(round(side))
    return sides[0], sides[1]
