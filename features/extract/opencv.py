"""What the sources that use OpenCV share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_gs.common.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


def require_opencv(kind: str) -> Any:
    """Returns OpenCV with its contributed modules; UsageError where it is not installed."""
    try:
        return import_module("cv2.ximgproc") and import_module("cv2")
    except ImportError as error:
        raise UsageError(
            f"--boxes {kind} needs OpenCV with its contributed modules",
            mend="pip install opencv-contrib-python-headless",
        ) from error


def shrunk(image: Image.Image, long_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image as OpenCV wants it, (H, W, 3) BGR, no longer than so much, and (4,) to scale boxes back."""
    width, height = image.size
    factor = min(1.0, long_side / max(width, height))
    small = image.resize((max(1, round(width * factor)), max(1, round(height * factor)))) if factor < 1 else image
    pixels = np.ascontiguousarray(np.asarray(small.convert("RGB"))[..., ::-1])
    return pixels, np.array([width / small.size[0], height / small.size[1]] * 2, np.float32)
