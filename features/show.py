"""Drawing a store's boxes on the picture they were found in."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.geometry import box_area
from vqa_gs.features.layout import ImageId
from vqa_gs.features.naming import PictureFolder, readings
from vqa_gs.features.store import Regions, RegionStore

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import StrPath, atomic_path

_SMALLEST_SIDE = 640


def show(store: StrPath, image_dir: StrPath, image_id: str, out: StrPath, top: int | None = None) -> str:
    """Draws the boxes of one image on its picture and writes a PNG.

    Args:
        store: the store.
        image_dir: a folder with the pictures, at any depth.
        image_id: the id, as text.
        out: the PNG to write.
        top: draw this many boxes only, the first ones in the store's order; None: all.

    Returns:
        A line that says what was drawn.

    Raises:
        DataError: the store has no such image, the folder no such picture, or the picture is broken.
        UsageError: ``top`` is less than 1.
    """
    if top is not None and top < 1:
        raise UsageError(f"no boxes to draw: top is {top}")
    with RegionStore(store) as opened:
        # Where there is none, what is told of is of the store's kind.
        kind = type(opened.image_ids[0])
        meant = readings(image_id)
        alike = [one for one in meant if isinstance(one, kind)]
        wanted: ImageId = next((one for one in meant if one in opened), (alike or meant)[0])
        regions = opened[wanted]
    path = PictureFolder(Path(image_dir)).require(wanted)
    picture = load_image(path)
    drawn = draw(picture, regions, top)
    with atomic_path(out) as temporary:
        drawn.save(temporary, format="PNG")
    count = min(len(regions.boxes), top or len(regions.boxes))
    line = f"{out}: {count} of {len(regions.boxes)} boxes on {path}"
    if tuple(regions.size.tolist()) != picture.size:
        width, height = regions.size.tolist()
        line += f" (which has {picture.width} x {picture.height} pixels, in the store {width} x {height}: boxes scaled)"
    return line


def draw(picture: Image.Image, regions: Regions, top: int | None = None) -> Image.Image:
    """Returns a picture with numbered boxes, small pictures enlarged.

    Args:
        picture: upright RGB.
        regions: of this image; boxes are scaled where its size is another.
        top: draw this many boxes only.
    """
    scale = max(1.0, _SMALLEST_SIDE / min(picture.size))
    scale = min(scale, 4.0)
    canvas = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(11, min(canvas.size) // 45))
    width, height = (float(side) for side in regions.size)
    across, down = canvas.width / width, canvas.height / height
    line = max(2, min(canvas.size) // 300)
    boxes = regions.boxes[:top]
    order = np.argsort(-box_area(boxes), kind="stable").tolist()
    corners = {}
    # Large boxes first, so that they do not cover the small ones; all labels last.
    for number in order:
        x1, y1, x2, y2 = (float(edge) for edge in boxes[number])
        left, upper = (min(max(x1 * across, 0), canvas.width - 1), min(max(y1 * down, 0), canvas.height - 1))
        right, lower = (max(min(x2 * across, canvas.width - 1), left), max(min(y2 * down, canvas.height - 1), upper))
        pen.rectangle((left, upper, right, lower), outline=_colour(number), width=line)
        corners[number] = (left, upper)
    for number in order:
        _label(pen, corners[number], _caption(regions, number), _colour(number), font, canvas.size)
    return canvas


def _caption(regions: Regions, number: int) -> str:
    caption = str(number)
    if "class" in regions.columns:
        caption += f": {int(regions.columns['class'][number])}"
    if "class_score" in regions.columns:
        caption += f" {float(regions.columns['class_score'][number]):.2f}"
    return caption


def _colour(number: int) -> tuple[int, int, int]:
    """Returns one of many colours; neighbouring numbers differ most (golden ratio)."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.61803398875 % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _label(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    limits: tuple[int, int],
) -> None:
    left, upper, right, lower = pen.textbbox((0, 0), text, font=font)
    x = min(corner[0], limits[0] - (right - left) - 4)
    y = min(corner[1], limits[1] - (lower - upper) - 4)
    pen.rectangle((x, y, x + right - left + 4, y + lower - upper + 4), fill=colour)
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if brightness > 140 else (255, 255, 255)
    pen.text((x + 2 - left, y + 2 - upper), text, fill=ink, font=font)
