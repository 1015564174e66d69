"""Pictures in pages that need nothing but themselves: found by image id in a folder, made small, embedded."""

from __future__ import annotations

import base64
import io

from vqa_gs.features.layout import ImageId
from vqa_gs.features.naming import PictureFolder

LONGEST = 320


class Embedded(dict[ImageId, tuple[str, int, int] | None]):
    """Images as data addresses with their true width and height; None for one that cannot be had.

    Args:
        folder: where they lie.
        budget: how many characters all of them may take together.
    """

    def __init__(self, folder: PictureFolder, budget: int) -> None:
        super().__init__()
        self.folder = folder
        self.left = budget

    def __missing__(self, image_id: ImageId) -> tuple[str, int, int] | None:
        from PIL import Image, UnidentifiedImageError

        path = self.folder.find(image_id)
        found = None
        if path is not None and self.left > 0:
            try:
                with Image.open(path) as image:
                    width, height = image.size
                    image.draft("RGB", (2 * LONGEST, 2 * LONGEST))
                    small = image.convert("RGB")
                    small.thumbnail((LONGEST, LONGEST))
                    buffer = io.BytesIO()
                    small.save(buffer, "JPEG", quality=74, optimize=True)
            except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
                pass
            else:
                address = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
                if len(address) <= self.left:
                    found = (address, width, height)
                    self.left -= len(address)
        self[image_id] = found
        return found
