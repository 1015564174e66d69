"""Which image files there are, and each one's id."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from vqa_gs.features.ids import id_of_text, name_of_file
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file

Item = tuple[ImageId, StrPath, "np.ndarray | None"]
"""Image id, image file, boxes (n, 4) in pixels of the upright image; None: those of the source of boxes."""

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
IDS = ("auto", "text", "number")
_LAST_NUMBER = re.compile(r"[0-9]{1,18}$")
_MEND = "name each image once, or map names to ids with --ids FILE"


def list_images(images: StrPath, ids: str = "auto") -> list[Item]:
    """Returns the images of a folder or a list, without boxes, in the order of their names or of the list.

    Args:
        images: a folder, searched at any depth; or a text file with a path a line, relative to it.
        ids: ``"auto"``: the number in COCO's names and in names that are numbers, otherwise the name without its
            suffix; ``"text"``: always the name; ``"number"``: the number at the name's end, as in ``synpic54610.jpg``;
            or a file that maps file names to ids: a JSON object, or CSV of name and id. Images not in it are left
            out of the list.

    Raises:
        DataError: there are none, or two have the same id.
        UsageError: some ids are numbers and some are text.
    """
    if not Path(images).exists():
        raise DataError("no such folder of images, and no list of them", file=images, mend="check the path")
    paths = find_pictures(Path(images)) if Path(images).is_dir() else _of_list(require_file(images, "image list"))
    if not paths:
        raise DataError("holds no images", file=images, mend=f"images end in {', '.join(sorted(PICTURES))}")
    mapping = None if ids in IDS else read_mapping(ids)
    owner: dict[ImageId, Path] = {}
    for path in paths:
        image_id = _id(path, ids, mapping)
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


def read_mapping(path: StrPath) -> dict[str, ImageId]:
    """Reads a file that maps names to ids: a JSON object, or CSV of two columns with or without a header.

    Raises:
        DataError: it is missing or damaged.
    """
    file = require_file(path, "image id mapping")
    try:
        if file.suffix.lower() != ".csv":
            return msgspec.json.decode(file.read_bytes(), type=dict[str, int | str])
        rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))
        pairs = [(row[0], row[1]) for row in rows if row]
        if pairs and Path(pairs[0][0]).suffix.lower() not in PICTURES and pairs[0][1] in ("id", "image_id"):
            pairs = pairs[1:]
        return {name: id_of_text(text) for name, text in pairs}
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, csv.Error, RecursionError) as error:
        raise DataError(
            f"not a mapping of names to ids: {error}", file=file, mend='as {"a.jpg": 1}, or CSV rows a.jpg,1'
        ) from error


def _id(path: Path, ids: str, mapping: Mapping[str, ImageId] | None) -> ImageId | None:
    if mapping is not None:
        return mapping.get(path.name, mapping.get(path.as_posix()))
    name = name_of_file(path.name)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError("the name is not UTF-8, so it gives no image id", file=repr(path.name), mend=_MEND) from None
    if ids == "number":
        number = _LAST_NUMBER.search(name)
        if number is None:
            raise DataError("the name does not end in a number", file=path, mend="map names to ids with --ids FILE")
        return int(number[0])
    return name if ids == "text" else id_of_text(name)


def find_pictures(folder: Path) -> list[Path]:
    """Returns the picture files of a folder, at any depth, in the order of their paths; hidden ones are left out."""
    found = []
    for parent, _, names in os.walk(folder):
        found += [
            Path(parent, name) for name in names if Path(name).suffix.lower() in PICTURES and not name.startswith(".")
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _of_list(file: Path) -> list[Path]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"not a list of images: {error}", file=file, mend="give UTF-8 text, a path a line") from error
    return [file.parent / line.strip() for line in lines if line.strip()]
