"""The boxes whose features a model sees: every object, some background, and the whole image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqa_gs.demo.scenes import IMAGE_SIZE, Scene

Box = tuple[float, float, float, float]
Region = tuple[Box, int | None]

WHOLE_IMAGE: Box = (0.0, 0.0, float(IMAGE_SIZE), float(IMAGE_SIZE))

_BACKGROUND_BOXES = (2, 3)
_BACKGROUND_SIDES = (24.0, 44.0)
_CANDIDATES = 16


def _background_box(objects: NDArray[np.float64], rng: np.random.Generator) -> Box:
    """Returns the least covered of several random boxes; a crowded scene may leave none quite free."""
    sides = rng.uniform(*_BACKGROUND_SIDES, (_CANDIDATES, 2))
    corners = rng.uniform(0, 1, (_CANDIDATES, 2)) * (IMAGE_SIZE - sides)
    low = np.maximum(corners[:, None], objects[:, :2])
    high = np.minimum((corners + sides)[:, None], objects[:, 2:])
    covered = np.clip(high - low, 0, None).prod(axis=2).sum(axis=1) / sides.prod(axis=1)
    best = int(covered.argmin())
    (x, y), (width, height) = corners[best].tolist(), sides[best].tolist()
    return (round(x, 2), round(y, 2), round(x + width, 2), round(y + height, 2))


def lay_regions(scene: Scene, rng: np.random.Generator) -> list[Region]:
    """Lays boxes over a scene.

    Args:
        scene: the scene, all its objects visible.
        rng: the source of chance.

    Returns:
        Boxes (x1, y1, x2, y2) in pixels with the index of the object in each, in random order: one loose box
        an object, two or three background boxes and the whole image, these without an object (None). The
        whole image is always there: a model that averages over regions can count only against something that
        does not vary.
    """
    objects: list[Box] = []
    for thing in scene.things:
        slack = rng.uniform(-0.5, 2.0, 4)
        edges = (
            thing.x - thing.radius - slack[0],
            thing.y - thing.radius - slack[1],
            thing.x + thing.radius + slack[2],
            thing.y + thing.radius + slack[3],
        )
        x1, y1, x2, y2 = (round(min(max(float(edge), 0.0), float(IMAGE_SIZE)), 2) for edge in edges)
        objects.append((x1, y1, x2, y2))
    regions: list[Region] = [(box, index) for index, box in enumerate(objects)]
    background = int(rng.integers(_BACKGROUND_BOXES[0], _BACKGROUND_BOXES[1] + 1))
    regions.extend((_background_box(np.array(objects), rng), None) for _ in range(background))
    regions.append((WHOLE_IMAGE, None))
    return [regions[index] for index in rng.permutation(len(regions))]
