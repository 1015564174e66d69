"""Draws a scene: antialiased shaded shapes on a textured background.

The picture is a function of the scene alone. Background and every object have their own seed, so a scene in
which one object was changed gives the same pixels everywhere else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vqa_gs.demo.scenes import IMAGE_SIZE, Scene, Thing, whole_pixel_box

_SUPERSAMPLING = 4

_RGB = {
    "red": (214, 38, 38),
    "orange": (243, 138, 28),
    "yellow": (246, 222, 54),
    "green": (44, 158, 62),
    "blue": (40, 84, 214),
    "purple": (136, 54, 178),
    "white": (246, 246, 246),
    "black": (26, 26, 28),
}

# Dull middle tones: no background is one of the objects' colours, and each of those stands out from all of
# them.
_BACKGROUNDS = (
    (128, 128, 128),
    (150, 140, 122),
    (118, 130, 142),
    (134, 146, 130),
    (152, 130, 130),
    (112, 122, 116),
    (140, 132, 150),
    (160, 156, 146),
)

FloatImage = NDArray[np.float32]
Points = NDArray[np.float64]


def _star() -> Points:
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], axis=1)


def _cross() -> Points:
    a = 0.34
    corners = [
        (-a, -1),
        (a, -1),
        (a, -a),
        (1, -a),
        (1, a),
        (a, a),
        (a, 1),
        (-a, 1),
        (-a, a),
        (-1, a),
        (-1, -a),
        (-a, -a),
    ]
    return np.array(corners, dtype=np.float64)


def _moon() -> Points:
    outer = np.linspace(np.radians(55), np.radians(305), 48)
    tip = np.array([np.cos(outer[0]), np.sin(outer[0])])
    centre = 0.62  # of the circle that bites the crescent out
    reach = float(np.hypot(tip[0] - centre, tip[1]))
    start = float(np.arctan2(tip[1], tip[0] - centre))
    inner = np.linspace(2 * np.pi - start, start, 40)
    return np.concatenate(
        [
            np.stack([np.cos(outer), np.sin(outer)], axis=1),
            np.stack([centre + reach * np.cos(inner), reach * np.sin(inner)], axis=1),
        ]
    )


def _circle() -> Points:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


_OUTLINES = {
    "circle": _circle(),
    "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64),
    "triangle": np.array([(0, -1), (1, 0.8), (-1, 0.8)], dtype=np.float64),
    "star": _star(),
    "heart": _heart(),
    "cross": _cross(),
    "diamond": np.array([(0, -1), (0.66, 0), (0, 1), (-0.66, 0)], dtype=np.float64),
    "moon": _moon(),
}


def _outline(thing: Thing, angle: float) -> Points:
    """Returns the tilted polygon, scaled and centred such that it touches the box -1..1 in one direction."""
    cos, sin = np.cos(angle), np.sin(angle)
    points = _OUTLINES[thing.shape] @ np.array([[cos, sin], [-sin, cos]])
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) * (2 / float((high - low).max()))


def _coverage(points: Points, width: int, height: int, line: float) -> tuple[FloatImage, FloatImage]:
    """Returns how much of each pixel the polygon covers, and how much its outline of ``line`` pixels does."""
    size = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
    corners = [(float(x) * _SUPERSAMPLING - 0.5, float(y) * _SUPERSAMPLING - 0.5) for x, y in points]
    fill = Image.new("L", size)
    ImageDraw.Draw(fill).polygon(corners, fill=255)
    edge = Image.new("L", size)
    # Half of the line falls outside the shape and is cut off below.
    stroke = max(1, round(2 * line * _SUPERSAMPLING))
    ImageDraw.Draw(edge).line([*corners, corners[0], corners[1]], fill=255, width=stroke)

    def shrink(mask: Image.Image) -> FloatImage:
        return np.asarray(mask.reduce(_SUPERSAMPLING), dtype=np.float32) / np.float32(255)

    filled = shrink(fill)
    edged: FloatImage = np.minimum(shrink(edge), filled)
    return filled, edged


def _drawn_traits(rng: np.random.Generator) -> list[float]:
    """Returns an object's tilt and light's angle in radians, depth of shading, and width of the outline in pixels."""
    traits: list[float] = rng.uniform((-0.2, 0.0, 0.06, 0.6), (0.2, 2 * np.pi, 0.16, 1.3)).tolist()
    return traits


def outline(thing: Thing) -> Points:
    """Returns the polygon of an object, (n, 2) pixels."""
    angle = _drawn_traits(np.random.default_rng(thing.look))[0]
    return _outline(thing, angle) * thing.radius + np.array([thing.x, thing.y])


def _draw_thing(canvas: FloatImage, thing: Thing) -> None:
    rng = np.random.default_rng(thing.look)
    angle, light, depth, line = _drawn_traits(rng)
    tint = rng.uniform(-9, 9, 3)
    x1, y1, x2, y2 = whole_pixel_box(thing)
    width, height = x2 - x1, y2 - y1
    points = _outline(thing, angle) * thing.radius + np.array([thing.x - x1, thing.y - y1])
    fill, edge = _coverage(points, width, height, line)
    grid_x = (np.arange(width) + 0.5 + x1 - thing.x) / thing.radius
    grid_y = (np.arange(height) + 0.5 + y1 - thing.y) / thing.radius
    slope = np.cos(light) * grid_x[None, :] + np.sin(light) * grid_y[:, None]
    base = np.array(_RGB[thing.color]) + tint
    grain = 3 * rng.standard_normal((height, width, 1), dtype=np.float32)
    shaded = (base * (1 + depth * slope)[..., None] + grain) * (1 - 0.45 * edge[..., None])
    patch = canvas[y1:y2, x1:x2]
    patch += fill[..., None] * (shaded - patch)


def _smooth_noise(rng: np.random.Generator, cells: int) -> FloatImage:
    """Returns blotches about ``IMAGE_SIZE / cells`` pixels wide, roughly within -1..1."""
    coarse = Image.fromarray(rng.normal(0, 0.5, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC), dtype=np.float32)


def draw_background(texture: int) -> FloatImage:
    """Draws a background of gradients, stripes, blotches or checks.

    Args:
        texture: its seed.

    Returns:
        (IMAGE_SIZE, IMAGE_SIZE, 3), not yet clipped to 0..255.
    """
    rng = np.random.default_rng(texture)
    base = np.array(_BACKGROUNDS[rng.integers(len(_BACKGROUNDS))], dtype=np.float64) + rng.uniform(-8, 8, 3)
    tint = rng.uniform(0.6, 1.0, 3)  # the pattern's contrast differs from channel to channel
    axis = np.arange(IMAGE_SIZE) / IMAGE_SIZE
    angle = float(rng.uniform(0, np.pi))
    along = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    kind = int(rng.integers(4))
    strength = np.float32(rng.uniform(8, 18))
    pattern: NDArray[np.floating]
    if kind == 0:
        pattern = 2 * (along - along.mean())
    elif kind == 1:
        pattern = np.sin(2 * np.pi * float(rng.uniform(5, 14)) * along)
    elif kind == 2:
        pattern = 1.4 * _smooth_noise(rng, int(rng.integers(6, 17)))
    else:
        cells = int(rng.integers(5, 13))
        rows = np.floor(axis * cells).astype(np.int64)
        pattern = 0.7 * np.where((rows[:, None] + rows[None, :]) % 2 == 0, 1.0, -1.0)
    pattern = pattern + 0.4 * _smooth_noise(rng, 4)
    shade = strength * pattern.astype(np.float32)
    grain = np.float32(rng.uniform(2, 6)) * rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    background = np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.float32)
    for channel in range(3):
        background[..., channel] = base[channel] + tint[channel] * shade + grain
    return background


def draw(scene: Scene) -> Image.Image:
    """Draws a scene as an RGB image of ``IMAGE_SIZE`` pixels each way."""
    canvas = draw_background(scene.texture)
    for thing in scene.things:
        if thing.visible:
            _draw_thing(canvas, thing)
    return Image.fromarray(np.clip(canvas + 0.5, 0, 255).astype(np.uint8))
