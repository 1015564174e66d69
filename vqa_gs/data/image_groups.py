"""Groups of images that belong together, such as near-duplicates: as JSON, a list of lists of image ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, write_json
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.questions import ImageId

ImageGroups = Mapping[ImageId, ImageId]
"""The image that stands for its group, by image; an image that is in none stands for itself."""


def group_of(image_ids: Sequence[ImageId], groups: ImageGroups | None) -> list[ImageId]:
    """Returns what stands for the group of each image."""
    return [groups.get(image, image) for image in image_ids] if groups else list(image_ids)


def read_image_groups(path: StrPath) -> dict[ImageId, ImageId]:
    """Reads groups of images, plain or gzipped; the first of a group stands for it.

    Raises:
        DataError: the file is missing, damaged or of another shape, or an image is in two groups.
    """
    content, _ = read_content(path, "image groups")
    found: dict[ImageId, ImageId] = {}
    listed = decode(content, list[list[ImageId]], file=path, expected="a list of lists of image ids")
    for row, group in enumerate(listed):
        for image in group:
            if image in found:
                raise DataError(
                    f"image {image!r} is there twice", file=path, record=f"group {row}", mend="join its groups"
                )
            found[image] = group[0]
    return found


def write_image_groups(path: StrPath, groups: Sequence[Sequence[ImageId]]) -> None:
    """Writes groups of images, whole or not at all."""
    write_json(path, [list(group) for group in groups], indent=None)
