"""Pictures of how much each region of an image counted: bright where it did, the foremost boxes outlined."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_WIDTH = 480
_GAP = 16
_OUTLINED = 3
# How bright the picture stays where no region counts.
_DARKEST = 0.25
_INK, _FAINT, _PAPER, _BAR = (20, 20, 20), (110, 110, 110), (255, 255, 255), (66, 120, 200)
_OUTLINES = ((255, 200, 0), (255, 120, 40), (230, 60, 120))


def brightness(boxes: np.ndarray, weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns how much lies on each pixel: the sum of the weights of the boxes over it, 1 where it is largest.

    A box's weight is spread over its area, so that a box around everything does not hide the small ones.

    Args:
        boxes: (R, 4), x1, y1, x2, y2 in pixels.
        weights: (R,), none negative.
        size: width and height.

    Returns:
        (height, width) in 0..1, all zero where no box counts.
    """
    width, height = size
    heat = np.zeros((height, width))
    for (x1, y1, x2, y2), weight in zip(np.asarray(boxes, float), np.asarray(weights, float), strict=True):
        left, upper = max(0, int(x1)), max(0, int(y1))
        right, lower = min(width, max(left + 1, round(x2))), min(height, max(upper + 1, round(y2)))
        if weight > 0 and right > left and lower > upper:
            heat[upper:lower, left:right] += weight / np.sqrt((right - left) * (lower - upper))
    largest = heat.max(initial=0)
    return heat / largest if largest > 0 else heat


def draw_heat(
    picture: Image.Image,
    boxes: np.ndarray,
    weights: Mapping[str, np.ndarray],
    heading: str,
    bars: Sequence[tuple[str, float]],
) -> Image.Image:
    """Returns one panel a kind of weight side by side, a heading above and bars below them.

    Args:
        picture: upright RGB.
        boxes: (R, 4), x1, y1, x2, y2 in its pixels.
        weights: by the panel's title (R,), none negative; a panel whose weights are all 0 says so.
        heading: what was asked.
        bars: texts with shares in 0..1, such as answers with their probabilities.
    """
    scale = _WIDTH / picture.width
    height = max(1, round(picture.height * scale))
    small = picture.resize((_WIDTH, height), Image.Resampling.BICUBIC)
    scaled = np.asarray(boxes, float) * scale
    font, fine = ImageFont.load_default(18), ImageFont.load_default(14)
    across = len(weights) * (_WIDTH + _GAP) + _GAP
    lines = [line for part in heading.splitlines() for line in textwrap.wrap(part, max(20, across // 10))] or [""]
    top = _GAP + 24 * len(lines)
    canvas = Image.new("RGB", (across, top + 24 + height + _GAP + 24 * len(bars) + _GAP), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        pen.text((_GAP, _GAP / 2 + 24 * number), line, fill=_INK, font=font)
    for number, (title, values) in enumerate(weights.items()):
        left = _GAP + number * (_WIDTH + _GAP)
        counts = bool(np.asarray(values).max(initial=0) > 0)
        pen.text((left, top), title if counts else f"{title}: none", fill=_FAINT, font=fine)
        canvas.paste(_panel(small, scaled, np.asarray(values, float)) if counts else small, (left, top + 24))
    _draw_bars(pen, bars, top + 24 + height + _GAP, across, fine)
    return canvas


def _panel(picture: Image.Image, boxes: np.ndarray, weights: np.ndarray) -> Image.Image:
    light = _DARKEST + (1 - _DARKEST) * brightness(boxes, weights, picture.size)[..., None]
    lit = Image.fromarray((np.asarray(picture, float) * light).astype(np.uint8))
    pen, font = ImageDraw.Draw(lit), ImageFont.load_default(14)
    shares = weights / weights.sum()
    order = np.argsort(-weights, kind="stable")[:_OUTLINED].tolist()
    shown = [(place, row) for place, row in enumerate(order) if weights[row] > 0]
    corners = {}
    for place, row in reversed(shown):  # the foremost last, on top of the others
        x1, y1, x2, y2 = boxes[row].tolist()
        x1, y1, x2, y2 = max(0, x1), max(0, y1), min(lit.width - 1, x2), min(lit.height - 1, y2)
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=_OUTLINES[place], width=3)
        corners[place] = (x1, y1)
    taken: list[tuple[float, float]] = []
    for place, row in shown:
        caption = f"{100 * shares[row]:.0f} %"
        _, _, wide, high = pen.textbbox((0, 0), caption, font=font)
        x, y = corners[place]
        x, y = min(x, lit.width - wide - 6), min(y, lit.height - high - 6)
        while any(abs(x - left) < wide + 6 and abs(y - upper) < high + 4 for left, upper in taken):
            y += high + 4
        taken.append((x, y))
        pen.rectangle((x, y, x + wide + 6, y + high + 4), fill=_OUTLINES[place])
        pen.text((x + 3, y + 1), caption, fill=_INK, font=font)
    return lit


def _draw_bars(
    pen: ImageDraw.ImageDraw,
    bars: Sequence[tuple[str, float]],
    top: float,
    across: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    named = min(across // 3, 260)
    room = across - named - 2 * _GAP - 60
    for number, (text, share) in enumerate(bars):
        y = top + 24 * number
        short = text if len(text) <= named // 8 else f"{text[: named // 8 - 1]}…"
        pen.text((_GAP, y), short, fill=_INK, font=font)
        length = room * min(1.0, max(0.0, share))
        pen.rectangle((_GAP + named, y + 3, _GAP + named + max(1.0, length), y + 17), fill=_BAR)
        pen.text((_GAP + named + length + 8, y), f"{100 * share:.1f} %", fill=_INK, font=font)
