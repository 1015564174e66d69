"""Reading image files as upright RGB."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image, ImageOps

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.lazy import torch


def load_image(path: StrPath) -> Image.Image:
    """Returns an image as 8-bit RGB, turned upright as its EXIF orientation says.

    Grey, 16-bit, CMYK and palette images are converted; transparent ones are laid on white. Of an animation
    the first frame is taken.

    Raises:
        DataError: the file is missing, no image, or broken (a truncated one too).
    """
    file = require_file(path, "image")
    try:
        with warnings.catch_warnings():
            # What Pillow only warns of (damaged EXIF, very many pixels) does not change the pixels.
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
                return _to_rgb(image if upright is None else upright)
    except Exception as error:  # broken files make the decoders raise nearly anything, from OSError to struct.error
        raise DataError(
            f"not a readable image: {type(error).__name__}: {error}",
            file=file,
            mend="replace or remove the image",
        ) from error


def to_tensor(image: Image.Image | torch.Tensor) -> torch.Tensor:
    """Returns an image as (3, H, W) uint8; itself if it is that already."""
    if not isinstance(image, torch.Tensor):
        image = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"an image is (3, H, W) uint8, got {tuple(image.shape)} {image.dtype}")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Pillow cuts 16-bit grey off at 255, which leaves white; here the upper eight bits are kept."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        grey = values * 255 if values.max(initial=0) <= 1 else values
    else:
        grey = values / 257 if values.max(initial=0) > 255 else values
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
