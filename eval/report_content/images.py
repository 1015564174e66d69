"""Images of the examples: found by image id in a folder, made small, embedded."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import ImageId

LONGEST = 320
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}
_TRAILING_NUMBER = re.compile(r"(\d+)$")


class ImageFolder:
    """A folder of images, subfolders included.

    An id that is a number is that at the end of the file's name (``COCO_val2014_000000000042.jpg``); one that is
    a text is the file's name, with or without its suffix.

    Args:
        folder: the folder.

    Raises:
        DataError: there is no such folder, or no image in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError("no such folder of images", file=folder, mend="check the path")
        self.by_number: dict[int, str] = {}
        self.by_name: dict[str, str] = {}
        for place, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() not in _SUFFIXES:
                    continue
                path = os.path.join(place, name)
                self.by_name.setdefault(stem, path)
                self.by_name.setdefault(name, path)
                if number := _TRAILING_NUMBER.search(stem):
                    self.by_number.setdefault(int(number[1]), path)
        if not self.by_name:
            raise DataError("no images in this folder", file=folder, mend="name the folder that holds them")

    def find(self, image_id: ImageId) -> Path | None:
        """Returns the file of an image, None if there is none."""
        found = self.by_number.get(image_id) if isinstance(image_id, int) else self.by_name.get(image_id)
        return None if found is None else Path(found)


class Embedded(dict[ImageId, tuple[str, int, int] | None]):
    """Images as data addresses with their true width and height; None for one that cannot be had.

    Args:
        folder: where they lie.
        budget: how many characters all of them may take together.
    """

    def __init__(self, folder: ImageFolder, budget: int) -> None:
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
