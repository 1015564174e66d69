"""Which image files there are, and each one's id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vqa_gs.features.ids import name_of_file
from vqa_gs.features.layout import ImageId
from vqa_gs.features.naming import PICTURES, Naming, find_pictures

from vqa_gs.common.errors import DataError, UsageError, found_in
from vqa_gs.common.files import StrPath, require_file

Item = tuple[ImageId, StrPath, "np.ndarray | None"]
"""Image id, image file, boxes (n, 4) in pixels of the upright image; None: those of the source of boxes."""

_MEND = "name each image once, or map names to ids with --ids FILE"


def list_images(images: StrPath, ids: str = "auto", naming: Naming | None = None) -> list[Item]:
    """Returns the images of a folder or a list, without boxes, in the order of their names or of the list.

    Args:
        images: a folder, searched at any depth; or a text file with a path a line, relative to it.
        ids: ``"auto"``: the number in COCO's names and in names that are numbers, otherwise the name without its
            suffix; ``"text"``: always the name; ``"number"``: the number at the name's end, as in ``synpic54610.jpg``;
            or a file that maps file names to ids: a JSON object, or CSV of name and id. Images not in it are left
            out of the list.
        naming: of the rule ``ids``, where its lines are wanted.

    Raises:
        DataError: there are none, or two have the same id.
        UsageError: some ids are numbers and some are text.
    """
    if not Path(images).exists():
        raise DataError("no such folder of images, and no list of them", file=images, mend="check the path")
    paths = find_pictures(Path(images)) if Path(images).is_dir() else _of_list(require_file(images, "image list"))
    if not paths:
        raise DataError("holds no images", file=images, mend=f"images end in {', '.join(sorted(PICTURES))}")
    naming = Naming(ids) if naming is None else naming
    owner: dict[ImageId, Path] = {}
    for path in paths:
        with found_in(path):
            image_id = naming.id_of(_name(path), (path.name, path.as_posix()))
        if image_id is None:
            continue
        if image_id in owner:
            raise DataError(f"has the same image id as {owner[image_id]}", file=path, record=f"{image_id}", mend=_MEND)
        owner[image_id] = path
    if not owner:
        raise DataError("names none of the images", file=ids, mend="map file names, with their suffix, to ids")
    kinds = {type(image_id): image_id for image_id in owner}
    if len(kinds) > 1:
        one, other = kinds.values()
        raise UsageError(
            f"{images}: some image ids are numbers ({one!r}) and some text ({other!r})".replace("'", ""),
            mend="give --ids text, or map names to ids with --ids FILE",
        )
    return [(image_id, path, None) for image_id, path in owner.items()]


def _name(path: Path) -> str:
    name = name_of_file(path.name)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError("the name is not UTF-8, so it gives no image id", file=repr(path.name), mend=_MEND) from None
    return name


def _of_list(file: Path) -> list[Path]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"not a list of images: {error}", file=file, mend="give UTF-8 text, a path a line") from error
    return [file.parent / line.strip() for line in lines if line.strip()]
